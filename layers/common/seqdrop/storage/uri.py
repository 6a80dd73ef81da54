"""The address of an object or a folder in S3, parsed once at the edge."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class S3Uri:
    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """`s3://bucket/key`; raises ValueError (so it serves as an argparse type)."""
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket or not key:
            raise ValueError(f"not an S3 address: {text!r} (expected s3://bucket/key)")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> S3Uri:
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        return self.key.rsplit("/", 1)[-1]

    @property
    def parent(self) -> S3Uri:
        return S3Uri(self.bucket, self.key.rsplit("/", 1)[0])

    def companion(self, suffix: str) -> S3Uri:
        """An index, a checksum or a summary stands beside its file: same name plus suffix."""
        return S3Uri(self.bucket, self.key + suffix)
