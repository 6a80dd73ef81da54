"""Compute the checksum of a file as S3 keeps it: of the whole object, of its parts, or its ETag."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

CRC_SIZES = {"CRC64NVME": 8, "CRC32C": 4, "CRC32": 4}  # bytes
ALGORITHMS = (*CRC_SIZES, "SHA256", "SHA1")  # the fastest ones first
BLOCK_SIZE = 8 << 20  # bytes
MD5_ETAG = re.compile(r"[0-9a-f]{32}")  # of an object in one part; in several, the ETag ends with their number


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum that S3 has of an object."""

    algorithm: str  # MD5 for an ETag
    value: str  # base64; of a composite checksum, with the number of parts behind it
    parts: int = 0  # of a composite checksum; 0 for one of the whole object

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Checksum | None:
        """Return the checksum in the answer to HEAD; None if nothing in it depends on the bytes alone.

        The ETag is an MD5 unless the object came in parts or is encrypted with a key of KMS or of the client.
        """
        for algorithm in ALGORITHMS:
            if value := answer.get(f"Checksum{algorithm}"):
                composite = answer.get("ChecksumType") == "COMPOSITE"
                return cls(algorithm, value, int(value.rpartition("-")[2]) if composite else 0)
        etag = answer["ETag"].strip('"')
        with_key = "kms" in answer.get("ServerSideEncryption", "") or "SSECustomerAlgorithm" in answer
        if with_key or not MD5_ETAG.fullmatch(etag):
            return None
        return cls("MD5", base64.b64encode(bytes.fromhex(etag)).decode())


def compute(path: Path, algorithm: str, part_sizes: Sequence[int] = ()) -> str:
    """Return the checksum of a file; with the sizes of its parts (bytes), the composite one of S3."""
    with path.open("rb") as file:
        if not part_sizes:
            return base64.b64encode(_digest(_blocks(file), algorithm)).decode()
        digests = [_digest(_blocks(file, size), algorithm) for size in part_sizes]
    return f"{base64.b64encode(_digest(digests, algorithm)).decode()}-{len(part_sizes)}"


def _blocks(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file, or all, in blocks."""
    while block := file.read(BLOCK_SIZE if size is None else min(BLOCK_SIZE, size)):
        size = None if size is None else size - len(block)
        yield block


def _digest(blocks: Iterator[bytes] | Sequence[bytes], algorithm: str) -> bytes:
    """Return the checksum of all blocks in the bytes of S3: big-endian."""
    if algorithm in CRC_SIZES:
        value, update = 0, _crc(algorithm)
        for block in blocks:
            value = update(block, value)
        return value.to_bytes(CRC_SIZES[algorithm], "big")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return digest.digest()


def _crc(algorithm: str) -> Callable[[bytes, int], int]:
    from awscrt import checksums  # noqa: PLC0415  compiled: in images, never in the layer

    update: Callable[[bytes, int], int] = getattr(checksums, algorithm.lower())
    return update
