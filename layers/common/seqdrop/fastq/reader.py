"""Divide FASTQ files into texts of a batch, and verify every record of a text.

Dividing is cheap and needs the order of the file; verifying takes most of the time and can be done anywhere.
Accepted variants: gzip, BGZF or plain text, LF or CRLF line ends, blank lines at the end of the file.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import records
from seqdrop.fastq.gunzip import GzipReader
from seqdrop.fastq.read_errors import MAX_LINE
from seqdrop.fastq.records import LINES_PER_READ, Batch

BATCH_SIZE = 10_000  # pairs; fixed, so that results computed from a batch do not depend on the number of threads
MAX_BATCH_BYTES = 32 << 20  # reads of 1,500 bases: this pipeline is for short reads, and its memory use stays flat
NO_READ = "it is not of a FASTQ of short reads"
MAX_BLANK_LINES = 1_000  # at the end of a file
BLANK_ENDS = (b"\n\n", b"\n\r\n")
# In blocks, since joining them takes longer than counting their lines. A block is parsed while it is in the processor's
# cache, which takes half the time.
Text = Sequence[bytes | memoryview]


def divide(file: GzipReader, mates: int = 1) -> Generator[list[bytes]]:
    """Yield the text of BATCH_SIZE reads, or all that is left at the end of the file; raise BadInputError.

    `mates`: of an interleaved file, a text has twice as many reads.

    A text does not end with a blank line, except at the end of the file: blank lines are allowed only there, and
    `parse` takes the end of a text for that of the file. A text of more than MAX_BATCH_BYTES is the last one: `parse`
    says what is wrong with it.
    """
    if not file.is_gzip and file.name.endswith(".gz") and file.first_bytes[:1] not in (b"@", b""):
        raise BadInputError("NOT_GZIP", f"{file.name} is named .gz but is not a gzip file")
    blocks, lines, size = list[bytes](), 0, 0
    wanted = LINES_PER_READ * BATCH_SIZE * mates
    for block in file:
        rest = block
        count = rest.count(b"\n")
        while lines + count >= wanted:
            end = _end_of_line(rest, wanted - lines)
            blocks.append(rest[:end])
            rest, count, lines = rest[end:], count - (wanted - lines), wanted
            if b"".join(blocks[-3:])[-3:].endswith(BLANK_ENDS):
                wanted += LINES_PER_READ
                continue
            yield blocks
            blocks, lines, size = [], 0, 0
            wanted = LINES_PER_READ * BATCH_SIZE * mates
        if rest:
            blocks.append(rest)
        lines, size = lines + count, size + len(rest)
        if size > MAX_BATCH_BYTES * mates:
            break
    yield blocks


def _end_of_line(text: bytes, number: int) -> int:
    """Return the offset behind a line, by its number in the text, from 1."""
    end = -1
    for _ in range(number):
        end = text.index(b"\n", end + 1)
    return end + 1


def parse(text: Text, name: str, reads_before: int, mates: int = 1) -> Batch:
    """Verify the reads of a text that `divide` made; raise BadInputError, with the name of the file."""
    names, sequences, qualities = list[bytes](), list[bytes](), list[bytes]()
    mate = b""
    for lines in _read_lines(text, name, LINES_PER_READ * reads_before):
        reads = records.parse_reads(lines, name, reads_before + len(names))
        mate = mate if names else reads.mate
        names += reads.names
        sequences += reads.sequences
        qualities += reads.qualities
    if sum(map(len, text)) > MAX_BATCH_BYTES * mates and len(names) < BATCH_SIZE * mates:
        use = "use a pipeline for long reads, this one is for short ones"
        raise BadInputError("LIMIT", f"{name} has long reads from read {reads_before + 1:,} on: {use}")
    return Batch(names, sequences, qualities, mate)


def _read_lines(text: Text, name: str, lines_before: int) -> Generator[list[bytes]]:
    """Yield lines without line ends, only complete records until the end of the text."""
    lines: list[bytes] = []
    rest = b""  # the start of a line that the next block continues
    for block in text:
        joined = rest + block
        if b"\r" in joined:
            joined = joined.replace(b"\r\n", b"\n")
        more = joined.split(b"\n")
        rest = more.pop()
        if len(rest) > MAX_LINE:
            number = lines_before + len(lines) + len(more) + 1
            raise BadInputError("LIMIT", f"{name}: line {number:,} is longer than {MAX_LINE:,} bytes: {NO_READ}")
        lines += more
        end = len(lines)
        # Hold back blank lines: they may be the last lines of the file.
        while end and not lines[end - 1] and len(lines) - end < MAX_BLANK_LINES:
            end -= 1
        end -= end % LINES_PER_READ
        yield lines[:end]
        del lines[:end]
        lines_before += end
    yield records.strip_trailing_blanks([*lines, rest.removesuffix(b"\r")])
