"""Parse and build the address of an object or a folder in S3."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class S3Uri:
    """An address: `s3://bucket/key`."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Parse `s3://bucket/key`; raise ValueError, which argparse expects of a type."""
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket or not key:
            raise ValueError(f"not an S3 address: {text!r} (expected s3://bucket/key)")
        return cls(bucket, key)

    def __str__(self) -> str:
        """Return the address as text."""
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> S3Uri:
        """Return the address of `name` below this folder."""
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rsplit("/", 1)[-1]

    @property
    def parent(self) -> S3Uri:
        """The folder of the object."""
        return S3Uri(self.bucket, self.key.rsplit("/", 1)[0])

    def is_inside(self, folder: S3Uri) -> bool:
        """Return whether this is the address of an object in a folder, or in one below it."""
        return self.bucket == folder.bucket and self.key.startswith(f"{folder.key.rstrip('/')}/")

    def companion(self, suffix: str) -> S3Uri:
        """Return the address of an index, checksum or summary, which has the name of its file plus a suffix."""
        return S3Uri(self.bucket, self.key + suffix)
