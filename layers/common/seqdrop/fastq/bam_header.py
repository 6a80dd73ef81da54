"""Find the first record of an uncompressed BAM."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from seqdrop.fastq.records import GZIP_MAGIC

MAGIC, CRAM_MAGIC = b"BAM\1", b"CRAM"


def format_of(head: bytes) -> str:
    """Return the format of a file by its first bytes: `bam`, `cram`, or "" for all others."""
    if head.startswith(CRAM_MAGIC):
        return "cram"
    if not head.startswith(GZIP_MAGIC):
        return ""
    try:
        return "bam" if zlib.decompressobj(wbits=31).decompress(head, len(MAGIC)) == MAGIC else ""
    except zlib.error:
        return ""


class HeaderError(ValueError):
    """The data is not a BAM, or it ends inside the header."""


def skip(chunks: Iterator[bytes]) -> tuple[bytes, int]:
    """Read the text and the contigs of the header; return the bytes read and the offset of the first record.

    Raises HeaderError.
    """
    data = b""

    def integer(at: int) -> int:
        nonlocal data
        while len(data) < at + 4 and (chunk := next(chunks, None)) is not None:
            data += chunk
        if len(data) < at + 4:
            raise HeaderError("ends in its header")
        return int.from_bytes(data[at : at + 4], "little")

    integer(0)
    if not data.startswith(MAGIC):
        raise HeaderError("is not a BAM")
    at = 8 + integer(4)
    contigs = integer(at)
    at += 4
    for _ in range(contigs):
        at += 8 + integer(at)  # the length of the name, the name, the length of the contig
    integer(at - 4)  # so that `data` has the whole header
    return data, at
