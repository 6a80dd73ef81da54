"""Compute the digest by which a file is proven where others could have changed it: nobody can make a file for it.

A CRC is not a proof there: a program that changes a file can also choose eight bytes that keep its CRC64NVME.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache, partial
from pathlib import Path

from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.transfers import Threads

METADATA = "seqdrop-digest"  # of an object: a version in S3 keeps its metadata
KIND = "sha256-64mib:"  # the SHA-256 of the SHA-256 of each part
PART_SIZE = 64 << 20  # bytes
BLOCK_SIZE = 1 << 20  # bytes in memory of each thread
THREADS = min(8, os.cpu_count() or 1)  # eight read faster than the disk


def compute(path: Path) -> str:
    """Return the digest of a file, as the metadata of an object have it."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        parts = _threads().map(partial(_digest_part, file.fileno()), range(0, size, PART_SIZE), 2 * THREADS)
        return KIND + hashlib.sha256(b"".join(parts)).hexdigest()


def as_metadata(path: Path) -> dict[str, str]:
    """Return the metadata that an object needs so that copies of it can be proven."""
    return {METADATA: compute(path)}


def of(stored: StoredObject) -> str:
    """Return the digest that was stored with an object; "" if there is none, or one of another kind."""
    digest = stored.metadata.get(METADATA, "")
    return digest if digest.startswith(KIND) else ""


def _digest_part(descriptor: int, start: int) -> bytes:
    digest, at = hashlib.sha256(), start
    while block := os.pread(descriptor, min(BLOCK_SIZE, start + PART_SIZE - at), at):
        digest.update(block)
        at += len(block)
    return digest.digest()


@cache
def _threads() -> Threads:
    return Threads(THREADS)
