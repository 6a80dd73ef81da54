"""Read the records of an unaligned BAM as reads, and refuse aligned reads and other records.

A read that an earlier aligner has placed may be there several times, reversed or clipped, and its mate may be missing:
such a BAM is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import bam_header, records
from seqdrop.fastq.bam_header import HeaderError
from seqdrop.fastq.records import Batch

# The start of a record after its size (SAM specification, 4.2): the lengths of its name and CIGAR, its flag, its bases.
RECORD = struct.Struct("<8xB3xHHi12x")
SIZE = 4  # bytes of the size of a record
MAX_SIZE = 4 << 20  # bytes of a record: those of a short read have some hundreds
PAIRED, UNMAPPED, REVERSE, READ1, READ2 = 0x1, 0x4, 0x10, 0x40, 0x80
NOT_PRIMARY = 0x900  # secondary or supplementary
BASES = bytes.maketrans(b"0123456789abcdef", b"=ACMGRSVTWYHKDBN")
QUALITIES = bytes(min(quality + 33, 127) for quality in range(256))  # 127 is refused as no quality
NO_QUALITY = 0xFF
# The sizes of the values of tags, by their type; Z and H end with a zero, B is an array.
VALUES = {letter: size for letters, size in (("AcC", 1), ("sS", 2), ("iIf", 4)) for letter in letters.encode()}
TEXTS, ARRAY = b"ZH", ord("B")
GROUP = b"RG"

COLLATE = "group the mates with `samtools collate`, and leave out reads without a mate"
IMPORT = "import the FASTQs again with `samtools import -1 R1.fastq.gz -2 R2.fastq.gz`, which marks the mates"


def divide(file: str, chunks: Iterator[bytes], number: int) -> Generator[list[bytes]]:
    """Yield the bytes of so many records of an uncompressed BAM, or all that are left; raise BadInputError."""
    data, at = skip_header(file, chunks)
    start, count = at, 0
    while True:
        while at + SIZE <= len(data):
            size = int.from_bytes(data[at : at + SIZE], "little")
            if not RECORD.size <= size <= MAX_SIZE:
                raise BadInputError("MALFORMED", f"{file} has a record of {size:,} bytes: it is not of a short read")
            if at + SIZE + size > len(data):
                break
            at, count = at + SIZE + size, count + 1
            if count == number:
                yield [data[start:at]]
                start, count = at, 0
        chunk = next(chunks, None)
        if chunk is None:
            break
        data, at, start = data[start:] + chunk, at - start, 0
    if at != len(data):
        raise BadInputError("TRUNCATED", f"{file} ends in the middle of a record")
    if count:
        yield [data[start:at]]


def skip_header(file: str, chunks: Iterator[bytes]) -> tuple[bytes, int]:
    """Return the first bytes of an uncompressed BAM and the offset of its first record; raise BadInputError."""
    try:
        return bam_header.skip(chunks)
    except HeaderError as error:
        raise BadInputError("TRUNCATED", f"{file} {error}") from None


def parse(file: str, data: bytes, before: int, groups: Mapping[bytes, bytes]) -> tuple[Batch, list[int]]:
    """Return the reads of whole records, and the flag of each; raise BadInputError. `before` is a number of reads."""
    lines, flags, found = list[bytes](), list[int](), list[bytes]()
    at, unpack = 0, RECORD.unpack_from
    while at < len(data):
        size = int.from_bytes(data[at : at + SIZE], "little")
        name, cigar, flag, length = unpack(data, at + SIZE)
        first = at + SIZE + RECORD.size
        bases = first + name + 4 * cigar
        quality = bases + (length + 1) // 2
        tags, at = quality + length, at + SIZE + size
        if length < 0 or tags > at:
            raise BadInputError("MALFORMED", f"{file}: record {before + len(flags) + 1:,} is not valid")
        if length and data[quality] == NO_QUALITY:
            raise BadInputError("MALFORMED", f"{file}: read {before + len(flags) + 1:,} has no qualities")
        flags.append(flag)
        found.append(_find_group(data[tags:at]))
        lines += (
            b"@" + data[first : first + name - 1],
            data[bases:quality].hex().encode().translate(BASES)[:length],
            b"+",
            data[quality:tags].translate(QUALITIES),
        )
    reads = records.parse_reads(lines, file, before)
    return replace(reads, groups=_map_groups(file, found, before, groups)), flags


def flags_of(data: bytes) -> list[int]:
    """Return the flags of whole records."""
    flags, at = list[int](), 0
    while at < len(data):
        flags.append(RECORD.unpack_from(data, at + SIZE)[2])
        at += SIZE + int.from_bytes(data[at : at + SIZE], "little")
    return flags


def _map_groups(file: str, found: Sequence[bytes], before: int, groups: Mapping[bytes, bytes]) -> list[bytes]:
    try:
        return [groups[group] for group in found]
    except KeyError as error:
        place, group = found.index(error.args[0]), error.args[0].decode(errors="replace")
        what = f"the read group {group}, which the header does not have" if group else "no read group, but others have"
        raise BadInputError("MALFORMED", f"{file}: read {before + place + 1:,} has {what}") from None


def _find_group(tags: bytes) -> bytes:
    """Return the read group among the tags of a record; b"" without one, or if they are not valid."""
    at = 0
    while at + 3 < len(tags):
        kind, value = tags[at + 2], at + 3
        if kind in VALUES:
            at = value + VALUES[kind]
        elif kind in TEXTS and (end := tags.find(b"\0", value)) >= 0:
            if tags.startswith(GROUP, at):
                return tags[value:end]
            at = end + 1
        elif kind == ARRAY and tags[value] in VALUES:
            at = value + 5 + VALUES[tags[value]] * int.from_bytes(tags[value + 1 : value + 5], "little")
        else:
            break
    return b""


def check_flags(file: str, mates: int, flags: Sequence[int], before: int) -> None:
    """Raise BadInputError for a read that is aligned, or that has a mate where others have none."""
    for number, flag in enumerate(flags, start=before + 1):
        if not flag & UNMAPPED or flag & (REVERSE | NOT_PRIMARY):
            raise BadInputError("ALIGNED", f"{file} has alignments: read {number:,} is not an unaligned one")
        if bool(flag & PAIRED) != (mates == 2):
            what, layout = ("has no mate", "paired") if mates == 2 else ("has a mate", "single")
            raise BadInputError("LAYOUT", f"read {number:,} of {file} {what}, but its layout is {layout}")


def check_mates(file: str, reads: Batch, flags: Sequence[int], before: int) -> None:
    """Raise BadInputError unless each two records are R1 and R2 of one pair."""
    names = reads.names
    places = range(0, len(flags) - 1, 2)
    place = next((at for at in places if names[at] != names[at + 1]), -1)
    if place >= 0 or len(flags) % 2:
        first = before + (place if place >= 0 else len(flags) - 1) + 1
        where = f"reads {first:,} and {first + 1:,} have different names" if place >= 0 else f"read {first:,} is alone"
        raise BadInputError("MATE_NAMES", f"{file}: mates must be next to each other, but {where}: {COLLATE}")
    place = next((at for at in places if [flag & (READ1 | READ2) for flag in flags[at : at + 2]] != [READ1, READ2]), -1)
    if place >= 0:
        raise BadInputError("LAYOUT", f"{file}: reads {before + place + 1:,} and {before + place + 2:,} are not R1 "
                                      f"and R2 by their flags: {COLLATE}")  # fmt: skip
