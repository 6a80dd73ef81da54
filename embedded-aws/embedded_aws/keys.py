"""The access keys of one server, created at random when it starts: one of the user, and one of each role."""

import secrets
import threading
from dataclasses import dataclass, field
from functools import cache

NO_ROLE = "none"  # the role of a job whose definition names none: it has no rights


@dataclass(frozen=True)
class AccessKey:
    """An access key id with its secret, and the ARN of the role whose rights it has; "" for the user, who has all."""

    id: str
    secret: str = field(repr=False)
    role: str = ""

    @classmethod
    def create(cls, owner: str, role: str = "") -> "AccessKey":
        """Create a random key whose id begins with `owner`."""
        # Not in the form of AWS's own ids, which moto would look up in IAM for each request.
        return cls(f"{owner}-{secrets.token_hex(6)}", secrets.token_hex(20), role)

    def variables(self) -> dict[str, str]:
        """Return the environment variables of every SDK."""
        return {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret}


@dataclass
class Keys:
    """The key of the user, with all rights, and the keys of roles, with the rights that their policies allow."""

    server: AccessKey
    _roles: dict[str, AccessKey] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_role(self, arn: str | None) -> AccessKey:
        """Return the key of a role. It is created by the first call."""
        role = arn or NO_ROLE
        with self._lock:
            return self._roles.setdefault(role, AccessKey.create("role", role))

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return the key with this id."""
        given = access_key_id.encode()
        known = (self.server, *self._roles.copy().values())
        return next((key for key in known if secrets.compare_digest(key.id.encode(), given)), None)


@cache
def keys() -> Keys:
    """Return the keys of this process. They are created by the first call: no two servers have the same ones."""
    return Keys(AccessKey.create("local"))
