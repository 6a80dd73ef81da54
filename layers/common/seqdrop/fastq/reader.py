"""Read FASTQ files in batches and verify every record.

Accepted variants: gzip, BGZF or plain text, LF or CRLF line ends, blank lines at the end of the file.
"""

from __future__ import annotations

from collections.abc import Generator

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import records
from seqdrop.fastq.gunzip import GzipReader
from seqdrop.fastq.read_errors import MAX_LINE
from seqdrop.fastq.records import LINES_PER_READ, Batch

BATCH_SIZE = 10_000  # pairs; fixed, so that results computed from a batch do not depend on the number of threads
MAX_BATCH_BYTES = 32 << 20  # reads of 1,500 bases: this pipeline is for short reads, and its memory use stays flat
NO_READ = "it is not of a FASTQ of short reads"
MAX_BLANK_LINES = 1_000  # at the end of a file


def read_batches(file: GzipReader) -> Generator[Batch]:
    """Yield the reads of one file, BATCH_SIZE at a time; raise BadInputError."""
    names, sequences, qualities = list[bytes](), list[bytes](), list[bytes]()
    mate: bytes | None = None
    batch_start = done = 0  # bytes and reads before this batch
    try:
        for reads in _parse_blocks(file):
            mate = reads.mate if mate is None and reads else mate
            names += reads.names
            sequences += reads.sequences
            qualities += reads.qualities
            if len(names) < BATCH_SIZE and file.bytes_out - batch_start > MAX_BATCH_BYTES:
                use = "use a pipeline for long reads, this one is for short ones"
                raise BadInputError("LIMIT", f"{file.name} has long reads from read {done + 1:,} on: {use}")
            while len(names) >= BATCH_SIZE:
                yield Batch(names[:BATCH_SIZE], sequences[:BATCH_SIZE], qualities[:BATCH_SIZE], mate or b"")
                del names[:BATCH_SIZE], sequences[:BATCH_SIZE], qualities[:BATCH_SIZE]
                batch_start, done = file.bytes_out, done + BATCH_SIZE
    except BadInputError:
        file.verify_checksum()  # report damaged gzip data as such, not as the invalid reads it looks like
        raise
    if names:
        yield Batch(names, sequences, qualities, mate or b"")


def _parse_blocks(file: GzipReader) -> Generator[Batch]:
    """Parse block by block: checking reads while they are in the processor's cache takes half the time."""
    number = 0
    for lines in _read_lines(file):
        reads = records.parse_reads(lines, file.name, number)
        number += len(reads)
        yield reads


def _read_lines(file: GzipReader) -> Generator[list[bytes]]:
    """Yield lines without line ends, only complete records until the end of the file."""
    if not file.is_gzip and file.name.endswith(".gz") and file.first_bytes[:1] not in (b"@", b""):
        raise BadInputError("NOT_GZIP", f"{file.name} is named .gz but is not a gzip file")
    lines: list[bytes] = []
    rest = b""  # the start of a line that the next block continues
    done = 0  # lines
    for block in file:
        text = rest + block
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        more = text.split(b"\n")
        rest = more.pop()
        if len(rest) > MAX_LINE:
            number = done + len(lines) + len(more) + 1
            raise BadInputError("LIMIT", f"{file.name}: line {number:,} is longer than {MAX_LINE:,} bytes: {NO_READ}")
        lines += more
        end = len(lines)
        # Hold back blank lines: they may be the last lines of the file.
        while end and not lines[end - 1] and len(lines) - end < MAX_BLANK_LINES:
            end -= 1
        end -= end % LINES_PER_READ
        yield lines[:end]
        del lines[:end]
        done += end
    yield records.strip_trailing_blanks([*lines, rest.removesuffix(b"\r")])
