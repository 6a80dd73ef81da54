"""Parse and verify FASTQ records, many at a time.

Reads are checked in bulk, with calls that loop in C. A single read is examined only to name its error.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.read_errors import (
    BASE_BYTES,
    MAX_LINE,
    MAX_NAME,
    NAME_BYTES,
    NO_HEADER,
    QUALITY_BYTES,
    describe_error,
)

GZIP_MAGIC = b"\x1f\x8b"
LINES_PER_READ = 4
MATE_SUFFIXES = (b"/1", b"/2")  # of read names
LATER_SUFFIXES = (b"/3", b"/4")  # of mates whose R2 is a barcode or a UMI
_MATE = re.compile(rb"[^ ]*/([1-4])(?: |\Z)|[^ ]* ([1-4]):")  # `name/2`, or CASAVA 1.8's `name 2:N:0:...`
READ_IDS = {(separator + b"1", separator + b"2") for separator in (b".", b"_", b":", b"-")}  # instead of them
MIN_SAME = 1_000  # pairs at the end of a batch: fewer may be the same by chance, such as reads of N alone
MIN_SHIFTED = 20  # reads of one file that begin the other one
COMPARED = 1_000  # first pairs in which the bases of R1 and R2 are compared
MIN_LENGTH = 20  # bases: shorter ones are in others by chance
MIN_KINDS = 3  # of bases, in a read that is compared: reads of N, or of G where nothing was read, are alike
MAX_CONTAINED = 0.5  # of the compared pairs
MAX_LENGTH_RATIO = 3  # of the mates' median lengths
MAX_LOW_SHARE = 0.25  # of the bases of a sequencer's reads, below Q20
# Illumina read names: `INSTRUMENT:RUN:FLOWCELL:LANE:TILE:X:Y`. The flowcell is written to @RG header lines and to
# sample sheets, so only harmless characters are accepted.
_ILLUMINA = re.compile(rb"[^:\s]+:[^:\s]+:(?P<flowcell>[A-Za-z0-9][A-Za-z0-9._-]*):(?P<lane>\d{1,3}):\d+:\d+:\d+")


@dataclass(frozen=True, slots=True)
class Batch:
    """Reads of one mate, in file order: names without `/1` and comment, sequences, qualities."""

    names: list[bytes]
    sequences: list[bytes]
    qualities: list[bytes]
    mate: bytes  # b"1" to b"4" if the header of the first read states it, else b""
    groups: Sequence[bytes] = ()  # the read group of each read, where the file has them (BAM)

    def __len__(self) -> int:
        """Return the number of reads."""
        return len(self.names)


def read_group(head: bytes) -> str | None:
    """Return `<flowcell>.<lane>` from the first bytes of a FASTQ, gzip or plain; None without Illumina names."""
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 64 << 10)
        except zlib.error:
            return None
    match = _ILLUMINA.match(head.removeprefix(b"@"))
    return f"{match['flowcell'].decode()}.{match['lane'].decode()}" if match else None


def strip_trailing_blanks(lines: list[bytes]) -> list[bytes]:
    """Remove the blank lines at the end of a file.

    Blank lines inside the last record stay: they are the bases and qualities of a read without bases.
    """
    while lines and not lines[-1] and (len(lines) % LINES_PER_READ or not any(lines[-LINES_PER_READ:])):
        lines.pop()
    return lines


def parse_reads(lines: list[bytes], file: str, reads_before: int) -> Batch:
    """Parse lines into reads; raise BadInputError, with the read's number, if one is invalid or incomplete.

    `reads_before` is the number of reads in the file before these lines.
    """
    end = len(lines) - len(lines) % LINES_PER_READ
    columns = [lines[offset:end:LINES_PER_READ] for offset in range(LINES_PER_READ)]
    headers, sequences, pluses, qualities = columns
    names = _parse_names(headers)
    if end and not (names and _all_valid(names, sequences, pluses, qualities)):
        raise _find_error(zip(*columns, strict=True), file, reads_before)
    if len(lines) > end:
        number = reads_before + end // LINES_PER_READ + 1
        if not lines[end].startswith(b"@"):  # other text, such as a line of a log: not a truncated read
            raise BadInputError("MALFORMED", f"{file}: read {number} {NO_HEADER}")
        raise BadInputError("TRUNCATED", f"{file} ends in the middle of read {number}")
    return Batch(_strip_mates(names), sequences, qualities, _parse_mate(headers[0]) if headers else b"")


def _parse_names(headers: list[bytes]) -> list[bytes]:
    """Return the text between "@" and the first blank of every header; [] if one does not begin with "@"."""
    joined = b"\n".join(headers).replace(b"\t", b" ")
    bare = joined[1:].split(b"\n@")
    if not joined.startswith(b"@") or len(bare) != len(headers):
        return []
    return [header.partition(b" ")[0] for header in bare]


def _strip_mates(names: list[bytes]) -> list[bytes]:
    if b"/" not in b"".join(names):
        return names
    if names[0].endswith(LATER_SUFFIXES) and all(name.endswith(names[0][-2:]) for name in names):
        return [name[:-2] for name in names]
    return [name[:-2] if name.endswith(MATE_SUFFIXES) else name for name in names]


def _all_valid(names: list[bytes], sequences: list[bytes], pluses: list[bytes], qualities: list[bytes]) -> bool:
    """Check that all records are complete and contain only characters that SAM allows."""
    lengths = list(map(len, sequences))
    name_lengths = list(map(len, names))
    return (
        lengths == list(map(len, qualities))
        and min(lengths) > 0
        and max(lengths) <= MAX_LINE
        and min(name_lengths) > 0
        and max(name_lengths) <= MAX_NAME
        and b"\n".join([b"", *pluses]).count(b"\n+") == len(pluses)
        and not b"".join(names).translate(None, NAME_BYTES)
        and not b"".join(sequences).translate(None, BASE_BYTES)
        and not b"".join(qualities).translate(None, QUALITY_BYTES)
    )


def _find_error(records: Iterable[tuple[bytes, ...]], file: str, reads_before: int) -> BadInputError:
    for number, record in enumerate(records, start=reads_before + 1):
        if error := describe_error(*record):
            kind, description = error
            return BadInputError(kind, f"{file}: read {number} {description}")
    raise AssertionError("a batch is invalid, but each of its reads is valid")


def _parse_mate(header: bytes) -> bytes:
    """Return the mate that a header states; b"" if it states none."""
    match = _MATE.match(header)
    return (match[1] or match[2]) if match else b""


def check_mates(one: Batch, two: Batch, name_1: str, name_2: str, pairs_before: int) -> None:
    """Raise BadInputError unless the reads are mates of each other; compare as many as both batches have.

    `pairs_before` is the number of pairs in the files before these batches.
    """
    if same := _find_same_reads(one, two, pairs_before):
        raise BadInputError("SAME_FILE", f"{name_1} and {name_2} contain the same reads{same.rstrip('.')}")
    if pairs_before == 0 and (error := _find_other_mates(one.mate, two.mate, name_1, name_2)):
        raise error
    if pairs_before == 0 and (parts := _find_parts(one, two)):
        raise BadInputError("SAME_FILE", f"{name_1} and {name_2} contain the same reads: {parts}")
    both = min(len(one), len(two))
    if one.names[:both] != two.names[:both]:
        names = enumerate(zip(one.names, two.names, strict=False), start=pairs_before + 1)
        number, name, mate = next((number, name, mate) for number, (name, mate) in names if name != mate)
        raise _name_error(number, name, mate, name_1, name_2)


def _find_other_mates(mate_1: bytes, mate_2: bytes, name_1: str, name_2: str) -> BadInputError | None:
    """Return the error of files whose reads state other mates than their names; None if there is none.

    R3 or R4 as R2 is none: R2 of the sequencer may be a barcode or a UMI.
    """
    if mate_1 == mate_2 or (mate_1 in {b"", b"1"} and mate_2 != b"1"):
        return None
    found = " and ".join(
        f"{name} contains R{mate.decode()} reads" for name, mate in ((name_1, mate_1), (name_2, mate_2)) if mate
    )
    if mate_2 == b"1" and mate_1:
        return BadInputError("SWAPPED", f"{found}: they are swapped")
    if (mate_1, mate_2) in {(b"", b"1"), (b"2", b"")}:
        return BadInputError("SWAPPED", f"{found}: it is swapped with {name_2 if mate_1 else name_1}")
    advice = "Upload R1 with its mate as R2: if the sequencer's R2 is an index, a barcode or a UMI, the mate is R3."
    return BadInputError("MATE_NAMES", f"{found}: R1 is missing", advice)


def _name_error(number: int, name: bytes, mate: bytes, name_1: str, name_2: str) -> BadInputError:
    """Return the error of mates with different names, with the advice for the format of the names."""
    message = f"read {number} has different names in {name_1} and {name_2}"
    if name[:-1] != mate[:-1] or (name[-2:], mate[-2:]) not in READ_IDS:
        return BadInputError("MATE_NAMES", message)
    one, two = name[-2:].decode(), mate[-2:].decode()
    message += f": they end with {one} and {two}, as `fastq-dump --readids` writes them"
    advice = (
        f"Download the reads again without `--readids`, or remove {one} and {two} from the names, then upload both."
    )
    return BadInputError("MATE_NAMES", message, advice)


def _find_same_reads(one: Batch, two: Batch, pairs_before: int) -> str:
    """Say where both files have the same reads, "." for everywhere; return "" if they differ.

    Names are not compared: a copy may have other ones. A file that was packed at another level has another number of
    reads in its first bytes.
    """
    both = min(len(one), len(two))
    if pairs_before == 0 and both and _are_equal(one, two, 0, 0, both):
        return "."
    end = both - MIN_SAME
    if end >= 0 and _are_equal(one, two, end, end, MIN_SAME):
        return f" at pair {pairs_before + both:,}"
    if pairs_before or both <= MIN_SHIFTED:
        return ""
    for first, second, later, earlier in ((one, two, "R1", "R2"), (two, one, "R2", "R1")):
        if (start := find_beginning(second, first)) >= 0:
            return f": {earlier} begins with read {start + 1:,} of {later}"
    return ""


def _find_parts(one: Batch, two: Batch) -> str:
    """Say in how many of the first pairs one read is a part of the other, if that is so in most; else return "".

    A raw and a trimmed R1 have the same names. The mates of a pair are of opposite strands.
    """
    first = list(zip(one.sequences[:COMPARED], two.sequences[:COMPARED], strict=False))
    compared = [sorted(pair, key=len) for pair in first if min(map(len, pair)) >= MIN_LENGTH]
    parts = [short in long for short, long in compared if len(set(short)) >= MIN_KINDS]
    if len(parts) < MIN_SHIFTED or sum(parts) <= MAX_CONTAINED * len(parts):
        return ""
    return (
        f"in {sum(parts):,} of the first {len(first):,} pairs, the bases of one read are in the other: one file is a "
        "trimmed copy"
    )


def first_reads(batch: Batch) -> Batch:
    """Return the first MIN_SHIFTED reads of a file."""
    end = MIN_SHIFTED
    return Batch(batch.names[:end], batch.sequences[:end], batch.qualities[:end], batch.mate)


def find_beginning(beginning: Batch, batch: Batch) -> int:
    """Return where a batch has the first MIN_SHIFTED reads of another file; -1 if it has not.

    These must all differ: reads of N, or of one amplicon, are equal in both files by chance.
    """
    distinct = len(set(beginning.sequences[:MIN_SHIFTED])) == MIN_SHIFTED
    if not distinct or beginning.sequences[0] not in batch.sequences:
        return -1
    start = batch.sequences.index(beginning.sequences[0])
    return start if _are_equal(batch, beginning, start, 0, MIN_SHIFTED) else -1


def _are_equal(one: Batch, two: Batch, start_1: int, start_2: int, count: int) -> bool:
    """Compare the bases and qualities of `count` reads from these places on."""
    parts = ((one.sequences, two.sequences), (one.qualities, two.qualities))
    return all(left[start_1 : start_1 + count] == right[start_2 : start_2 + count] for left, right in parts)


def median_length(batch: Batch) -> int:
    """Return the median number of bases in a read; 0 without reads."""
    lengths = sorted(map(len, batch.sequences))
    return lengths[len(lengths) // 2] if lengths else 0


def have_different_lengths(one: Batch, two: Batch) -> bool:
    """Return whether the reads of one mate are so short that they may be barcodes or UMIs."""
    short, long = sorted((median_length(one), median_length(two)))
    return long > MAX_LENGTH_RATIO * short


def check_phred33(qualities: Sequence[bytes], file: str) -> None:
    """Raise BadInputError if the qualities are encoded as Phred+64."""
    if may_be_phred64(qualities) and _are_of_sequencer(qualities):
        raise BadInputError(
            "MALFORMED", f"{file} has Phred+64 qualities (old Illumina): convert them to Phred+33 (`seqtk seq -VQ64`)"
        )


def may_be_phred64(qualities: Sequence[bytes]) -> bool:
    """Return whether all qualities are possible in Phred+64, ';' to 'i', and some are high in Phred+33.

    A Phred+33 file of a sequencer that has a 'P' or more also has values below ';'. Consensus reads may have none.
    """
    values = set(b"".join(qualities))
    return bool(values) and min(values) >= 59 and 80 <= max(values) <= 105


def _are_of_sequencer(qualities: Sequence[bytes]) -> bool:
    """Return whether the qualities, read as Phred+64, are those of a sequencer: three of four bases have Q20 or more.

    Consensus reads in Phred+33 (Q32 to Q70) would have Q1 to Q39, most of them low. Illumina 1.5 marks the end of a
    read with 'B' where it is unreliable: these are not counted.
    """
    bases = b"".join(quality.rstrip(b"B") for quality in qualities)
    low = len(bases) - len(bases.translate(None, bytes(range(64 + 20))))
    return low <= MAX_LOW_SHARE * len(bases)
