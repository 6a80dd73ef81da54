"""Compute the checksum of a file as S3 keeps it: of the whole object, of its parts, or its ETag."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
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


def update(algorithm: str, block: bytes | bytearray, value: int) -> int:
    """Return the CRC of what has the CRC `value`, followed by a block; 0 for algorithms that are no CRC."""
    return _crc(algorithm)(block, value) if algorithm in CRC_SIZES else 0


def combine(algorithm: str, parts: Iterable[tuple[int, int]]) -> int:
    """Return the CRC of a whole from the CRC and the size of each of its parts; 0 for algorithms that are no CRC."""
    whole = 0
    for value, size in parts if algorithm in CRC_SIZES else ():
        whole = _combiner(algorithm)(whole, value, size)
    return whole


def text(algorithm: str, value: int) -> str:
    """Return a CRC as S3 writes it: base64 of its bytes, big-endian."""
    return base64.b64encode(value.to_bytes(CRC_SIZES[algorithm], "big")).decode()


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


@cache
def _crc(algorithm: str) -> Callable[[bytes | bytearray, int], int]:
    from awscrt import checksums  # noqa: PLC0415  compiled: in images, never in the layer

    update: Callable[[bytes | bytearray, int], int] = getattr(checksums, algorithm.lower())
    return update


@cache
def _combiner(algorithm: str) -> Callable[[int, int, int], int]:
    from awscrt import checksums  # noqa: PLC0415  as above

    combine: Callable[[int, int, int], int] = getattr(checksums, f"combine_{algorithm.lower()}")
    return combine
