"""Find a drop its place in the bucket, never over another's files: a new R1 would be paired with the old R2 there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqdrop.plan.names import canonical
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import upload
from seqdrop_cli.stack import Stack
from seqdrop_cli.upload import Drop, Pinned

PLACES = 100  # the same files again and again, each time after a run that failed


@dataclass(frozen=True, slots=True)
class Place:
    """Where every file of a drop may go; some may be there already, byte for byte."""

    files: list[tuple[Path, S3Uri]]
    there: list[Pinned | None]

    @property
    def is_full(self) -> bool:
        return None not in self.there

    def stored(self) -> list[Pinned]:
        return [pinned for pinned in self.there if pinned]

    def fill(self, stack: Stack, metadata: Mapping[str, str]) -> list[Pinned]:
        """Upload what is missing; answers all of them in order."""
        missing = [file for file, pinned in zip(self.files, self.there, strict=True) if pinned is None]
        fresh = iter(upload.put(stack, missing, metadata))
        return [pinned or next(fresh) for pinned in self.there]


def places(stack: Stack, drop: Drop, prefix: str, metadata: Mapping[str, str]) -> Iterator[Place]:
    """The chosen folder first; where other files lie under these names, a folder named after the content."""
    chosen = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    for folder in _folders(drop, metadata):
        files = _files(stack, drop, chosen + folder)
        heads = [upload.head(stack, uri) for _, uri in files]
        there = [upload.same(path, uri, head, metadata) for (path, uri), head in zip(files, heads, strict=True)]
        if all(pinned or head is None for pinned, head in zip(there, heads, strict=True)):
            yield Place(files, there)


def _folders(drop: Drop, metadata: Mapping[str, str]) -> Iterator[str]:
    yield ""
    checksums = [[s3.checksum(path) for path in pair] for pair in drop.pairs]
    digest = hashlib.sha256(canonical([checksums, dict(metadata)]).encode()).hexdigest()[:12]
    yield f"{digest}/"
    yield from (f"{digest}-{number}/" for number in range(2, PLACES))


def _files(stack: Stack, drop: Drop, folder: str) -> list[tuple[Path, S3Uri]]:
    paths = [path for pair in drop.pairs for path in pair]
    names = [name for pair in drop.names for name in pair]
    return [(path, S3Uri(stack["FastqBucket"], folder + name)) for path, name in zip(paths, names, strict=True)]
