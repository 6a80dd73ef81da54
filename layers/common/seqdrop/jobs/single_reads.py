"""Align reads without a mate with a library that takes pairs alone: each gets a mate that cannot be aligned.

A read whose mate is not aligned, and is not searched near it, is aligned as a read without a mate is. Afterwards the
records of the mates, the flags and the tag about them are removed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from seqdrop.failure.verdict import JobError
from seqdrop.fastq.records import Batch

MATE = b"N", b"!"  # bases and qualities
# The start of a record (SAM specification, 4.2): size, contig, position, length of the name, mapping quality, bin,
# operations of the CIGAR, flag, bases, then contig and position of the mate, and the length of the template.
RECORD = struct.Struct("<iiiBBHHHiiii")
SIZE, NAME_LENGTH, CIGAR, FLAG, LENGTH, MATE_CONTIG, MATE_POSITION, TEMPLATE = 0, 3, 6, 7, 8, 9, 10, 11
OF_PAIRS = 0x1 | 0x2 | 0x8 | 0x20 | 0x40  # paired, properly, mate not aligned, mate reversed, first mate
SECOND_MATE = 0x80
MATE_QUALITY = b"MQi\0\0\0\0"  # the tag of the mapping quality of a mate that is not aligned


def with_mates(reads: Batch) -> list[Any]:
    """Return reads as pairs."""
    from bwa_mem3 import ReadPair  # noqa: PLC0415  only the image of this tool has it

    bases, qualities = MATE
    return [
        ReadPair(name, sequence, name, bases, quality, qualities)
        for name, sequence, quality in zip(reads.names, reads.sequences, reads.qualities, strict=True)
    ]


def without_mates(records: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the BAM records of the reads, as of reads without a mate; raise JobError for one that is not of a pair."""
    for record in records:
        fields = list(RECORD.unpack_from(record))
        if fields[FLAG] & SECOND_MATE:
            continue
        tags = RECORD.size + fields[NAME_LENGTH] + 4 * fields[CIGAR] + (fields[LENGTH] + 1) // 2 + fields[LENGTH]
        place = record.find(MATE_QUALITY, tags)  # the tags before it are numbers and MD, which cannot contain it
        if place < 0:
            raise JobError("INTERNAL", "bwa-mem3 wrote a record without the mapping quality of its mate")
        fields[FLAG] &= ~OF_PAIRS
        fields[SIZE] -= len(MATE_QUALITY)
        fields[MATE_CONTIG], fields[MATE_POSITION], fields[TEMPLATE] = -1, -1, 0
        yield RECORD.pack(*fields) + record[RECORD.size : place] + record[place + len(MATE_QUALITY) :]
