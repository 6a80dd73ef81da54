"""The access keys of one server, created at random when it starts."""

import secrets
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True)
class AccessKey:
    """An access key id with its secret."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def create(cls, owner: str) -> "AccessKey":
        """Create a random key whose id begins with `owner`."""
        # Not in the form of AWS's own ids, which moto would look up in IAM for each request.
        return cls(f"{owner}-{secrets.token_hex(6)}", secrets.token_hex(20))

    def variables(self) -> dict[str, str]:
        """Return the environment variables of every SDK."""
        return {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret}


@dataclass(frozen=True)
class Keys:
    """The key of the user and of functions, with all rights, and that of jobs, for objects in S3 alone."""

    server: AccessKey
    jobs: AccessKey

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return the key with this id."""
        given = access_key_id.encode()
        return next((key for key in (self.server, self.jobs) if secrets.compare_digest(key.id.encode(), given)), None)


@cache
def keys() -> Keys:
    """Return the keys of this process. They are created by the first call: no two servers have the same ones."""
    return Keys(AccessKey.create("local"), AccessKey.create("job"))
