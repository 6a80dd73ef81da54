"""FASTQ files as they are found in the wild, read a batch at a time and proven on the way."""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import records
from seqdrop.fastq.gunzip import GZIP_MAGIC, Unpacked
from seqdrop.fastq.records import LINES, LONGEST_LINE, Batch

BATCH = 10_000  # pairs; fixed, so that what is made of a batch does not depend on the number of threads
LARGEST_BATCH = 32 << 20  # bytes: reads of 1,500 bases; this pipeline is for short ones, and its memory stays flat
MOST_BLANK = 1_000  # lines at the end of a file
# `INSTRUMENT:RUN:FLOWCELL:LANE:TILE:X:Y`, as sequencers name reads. A flowcell goes into header lines and sheets:
# what else might stand there is no flowcell.
_ILLUMINA = re.compile(rb"[^:\s]+:[^:\s]+:(?P<flowcell>[A-Za-z0-9][A-Za-z0-9._-]*):(?P<lane>\d{1,3}):\d+:\d+:\d+")


def read_group(head: bytes) -> str | None:
    """`<flowcell>.<lane>` from the first bytes of a FASTQ, gzip or plain; None where reads are not named so."""
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 64 << 10)
        except zlib.error:
            return None
    found = _ILLUMINA.match(head.removeprefix(b"@"))
    return f"{found['flowcell'].decode()}.{found['lane'].decode()}" if found else None


def batches(file: Unpacked) -> Generator[Batch]:
    """The records of one file; raises BadInputError."""
    names, sequences, qualities = list[bytes](), list[bytes](), list[bytes]()
    mate: bytes | None = None
    given = 0
    try:
        for reads in _proven(file):
            mate = reads.mate if mate is None and reads else mate
            names += reads.names
            sequences += reads.sequences
            qualities += reads.qualities
            if len(names) < BATCH and file.given - given > LARGEST_BATCH:
                raise BadInputError(
                    "LIMIT", f"{file.name} holds reads too long for this pipeline, which is for short ones"
                )
            while len(names) >= BATCH:
                yield Batch(names[:BATCH], sequences[:BATCH], qualities[:BATCH], mate or b"")
                del names[:BATCH], sequences[:BATCH], qualities[:BATCH]
                given = file.given
    except BadInputError:
        file.prove()  # a damaged file is called that, not by what its damage looks like
        raise
    if names:
        yield Batch(names, sequences, qualities, mate or b"")


def _proven(file: Unpacked) -> Generator[Batch]:
    """The reads of block after block: while they are in the processor's cache, to look at them costs half."""
    number = 0
    for lines in _lines(file):
        reads = records.proven(lines, file.name, number)
        number += len(reads)
        yield reads


def _lines(file: Unpacked) -> Generator[list[bytes]]:
    """Lines without their ends, whole records of them until the end."""
    if not file.zipped and file.name.endswith(".gz") and file.beginning[:1] not in (b"@", b""):
        raise BadInputError("NOT_GZIP", f"{file.name} is named .gz but is no gzip file")
    lines: list[bytes] = []
    rest = b""  # a line whose end is still to come
    for block in file:
        text = rest + block
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        more = text.split(b"\n")
        rest = more.pop()
        if len(rest) > LONGEST_LINE:
            raise BadInputError("LIMIT", f"{file.name} has a line of more than {LONGEST_LINE:,} bytes")
        lines += more
        end = len(lines)
        while end and not lines[end - 1] and len(lines) - end < MOST_BLANK:  # kept back: they may be the end
            end -= 1
        yield lines[: end - end % LINES]
        del lines[: end - end % LINES]
    yield records.without_blank_end([*lines, rest.removesuffix(b"\r")])
