"""Count the primary records of a BAM and their bases: every read is in it once, with all its bases."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.fastq import bam_header
from seqdrop.fastq.bam_header import HeaderError
from seqdrop.fastq.bam_reads import NOT_PRIMARY
from seqdrop.fastq.gunzip import GzipReader, Source
from seqdrop.fastq.inflate import inflate
from seqdrop.fastq.prefetch import prefetch

CHUNK_SIZE = 1 << 20  # bytes after decompression
# The start of a record (SAM specification, 4.2): its size, then among others the lengths of its name and of its CIGAR,
# its flag and the number of its bases. The name, the CIGAR and the bases follow, two bases in a byte; N is 15.
RECORD = struct.Struct("<i8xB3xHHi12x")
UNKNOWN = "f"


class Counts(NamedTuple):
    """The primary records of a BAM."""

    records: int
    bases: int
    known_bases: int  # without those that are N; 0 unless asked for
    all_records: int  # with those that are not primary


def count_primary(bam: Path | Source, *, known: bool = False) -> Counts:
    """Count the primary records of a BAM and their bases; raise JobError if the BAM is damaged.

    `known`: count the bases that are not N too, which takes longer.
    """
    try:
        with GzipReader(bam) as file, closing(prefetch(_chunks(file))) as chunks:
            return _count(chunks, known=known)
    except BadInputError as error:
        raise JobError("TOOL_FAILED", str(error)) from None


def count_stream(stream: BinaryIO, *, known: bool = False) -> Counts:
    """Count as `count_primary` does in the uncompressed BAM that a program writes (`samtools view -u`)."""
    blocks = (text for text, _ in inflate(iter(lambda: stream.read(CHUNK_SIZE), b""), CHUNK_SIZE))
    try:
        return _count(_chunks(blocks), known=known)
    except zlib.error as error:
        raise JobError("TOOL_FAILED", f"the aligned reads cannot be read: {error}") from None


def _chunks(parts: Iterable[bytes]) -> Generator[bytes]:
    blocks, size = list[bytes](), 0
    for block in parts:
        blocks.append(block)
        size += len(block)
        if size >= CHUNK_SIZE:
            yield b"".join(blocks)
            blocks, size = [], 0
    yield b"".join(blocks)


def _count(chunks: Generator[bytes], *, known: bool) -> Counts:
    records = bases = unknown = others = 0
    try:
        data, at = bam_header.skip(chunks)
    except HeaderError as error:
        raise JobError("TOOL_FAILED", f"the file of the aligner {error}") from None
    unpack, head = RECORD.unpack_from, RECORD.size
    while True:
        end = len(data) - head
        while at <= end:
            size, name, cigar, flag, length = unpack(data, at)
            following = at + 4 + size
            if following > len(data):
                break
            if not flag & NOT_PRIMARY:
                records += 1
                bases += length
                if known:
                    first = at + head + name + 4 * cigar
                    # The last half of the last byte is 0 if the number of bases is odd.
                    unknown += data[first : first + (length + 1) // 2].hex().count(UNKNOWN)
            else:
                others += 1
            at = following
        chunk = next(chunks, None)
        if chunk is None:
            break
        data, at = data[at:] + chunk, 0
    if at != len(data):
        raise JobError("TOOL_FAILED", "the BAM ends in the middle of a record")
    return Counts(records, bases, bases - unknown if known else 0, records + others)
