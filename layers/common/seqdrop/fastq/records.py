"""FASTQ records, proven many at a time.

Nothing here looks at one read alone unless something is wrong: what all reads must have is asked of all of them at
once, in calls that are loops in C.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqdrop.failure.verdict import BadInputError

GZIP_MAGIC = b"\x1f\x8b"
MAX_LINE = 1 << 20  # bytes
MAX_NAME = 254  # bytes: a BAM record has no room for more
LINES_PER_READ = 4  # of a record
MATE_SUFFIXES = (b"/1", b"/2")  # as names may end
# What SAM allows in names, bases and qualities.
NAME_BYTES = bytes(byte for byte in range(33, 127) if byte != ord("@"))
BASE_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.="
QUALITY_BYTES = bytes(range(33, 127))
# `INSTRUMENT:RUN:FLOWCELL:LANE:TILE:X:Y`, as sequencers name reads. A flowcell goes into header lines and sheets:
# what else might stand there is no flowcell.
_ILLUMINA = re.compile(rb"[^:\s]+:[^:\s]+:(?P<flowcell>[A-Za-z0-9][A-Za-z0-9._-]*):(?P<lane>\d{1,3}):\d+:\d+:\d+")


@dataclass(frozen=True, slots=True)
class Batch:
    """Reads of one mate, in order: names without `/1` or comment, sequences, qualities."""

    names: list[bytes]
    sequences: list[bytes]
    qualities: list[bytes]
    mate: bytes  # b"1" or b"2" where the first read's header says which mate it is, else b""

    def __len__(self) -> int:
        return len(self.names)


def read_group(head: bytes) -> str | None:
    """`<flowcell>.<lane>` from the first bytes of a FASTQ, gzip or plain; None where reads are not named so."""
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 64 << 10)
        except zlib.error:
            return None
    found = _ILLUMINA.match(head.removeprefix(b"@"))
    return f"{found['flowcell'].decode()}.{found['lane'].decode()}" if found else None


def strip_trailing_blanks(lines: list[bytes]) -> list[bytes]:
    """Blank lines at the very end do no harm; those of a last record without bases are not among them."""
    while lines and not lines[-1] and (len(lines) % LINES_PER_READ or not any(lines[-LINES_PER_READ:])):
        lines.pop()
    return lines


def parse_reads(lines: list[bytes], file: str, number: int) -> Batch:
    """The reads of these lines, `number` reads having come before them; raises BadInputError."""
    end = len(lines) - len(lines) % LINES_PER_READ
    columns = [lines[place:end:LINES_PER_READ] for place in range(LINES_PER_READ)]
    heads, sequences, pluses, qualities = columns
    names = _parse_names(heads)
    if end and not (names and _all_valid(names, sequences, pluses, qualities)):
        raise _find_error(zip(*columns, strict=True), file, number)
    if len(lines) > end:
        place = number + end // LINES_PER_READ + 1
        if not lines[end].startswith(b"@"):  # a note, a log's line: no read that was cut
            raise BadInputError("MALFORMED", f"{file}: no '@' where a name should begin in read {place}")
        raise BadInputError("TRUNCATED", f"{file} ends in the middle of read {place}")
    return Batch(_strip_mates(names), sequences, qualities, _parse_mate(heads[0]) if heads else b"")


def _parse_names(heads: list[bytes]) -> list[bytes]:
    """What stands between "@" and the first blank of every head; empty when one does not begin with "@"."""
    joined = b"\n".join(heads).replace(b"\t", b" ")
    bare = joined[1:].split(b"\n@")
    if not joined.startswith(b"@") or len(bare) != len(heads):
        return []
    return [head.partition(b" ")[0] for head in bare]


def _strip_mates(names: list[bytes]) -> list[bytes]:
    if b"/" not in b"".join(names):
        return names
    return [name[:-2] if name.endswith(MATE_SUFFIXES) else name for name in names]


def _all_valid(names: list[bytes], sequences: list[bytes], pluses: list[bytes], qualities: list[bytes]) -> bool:
    """Whether all records are end and hold nothing that SAM does not allow."""
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


def _find_error(records: Iterable[tuple[bytes, ...]], file: str, number: int) -> BadInputError:
    for place, record in enumerate(records, start=number + 1):
        if fault := _describe_error(*record):
            return BadInputError(fault[0], f"{file}: {fault[1]} in read {place}")
    raise AssertionError("a batch was refused but none of its reads")


def _describe_error(head: bytes, sequence: bytes, plus: bytes, quality: bytes) -> tuple[str, str] | None:
    """Kind and words of what is wrong with one read; asks what `_all_valid` asks of all."""
    name = head[1:].replace(b"\t", b" ").partition(b" ")[0]
    faults = [
        (head[:1] != b"@", "MALFORMED", "no '@' where a name should begin"),
        (not name, "MALFORMED", "no name"),
        (len(name) > MAX_NAME, "LIMIT", f"a name of more than {MAX_NAME} bytes"),
        (name.translate(None, NAME_BYTES), "MALFORMED", "a name with a letter that SAM does not allow"),
        (plus[:1] != b"+", "MALFORMED", "no '+' line"),
        (not sequence, "MALFORMED", "no bases"),
        (len(sequence) > MAX_LINE, "LIMIT", f"more than {MAX_LINE:,} bases"),
        (len(sequence) != len(quality), "MALFORMED", f"{len(sequence)} bases but {len(quality)} qualities"),
        (sequence.translate(None, BASE_BYTES), "MALFORMED", "a letter that stands for no base"),
        (quality.translate(None, QUALITY_BYTES), "MALFORMED", "a quality that SAM does not allow"),
    ]
    return next(((kind, words) for wrong, kind, words in faults if wrong), None)


def _parse_mate(head: bytes) -> bytes:
    """Which mate a header says it is: `name/2`, or CASAVA 1.8's `name 2:N:0:...`."""
    name, _, comment = head.partition(b" ")
    if name.endswith(MATE_SUFFIXES):
        return name[-1:]
    return comment[:1] if comment.startswith((b"1:", b"2:")) else b""


def check_mates(one: Batch, two: Batch, name_1: str, name_2: str, number: int) -> None:
    """Raises BadInputError for reads that are no mates, as far as both go; `number` pairs came before them."""
    if number == 0 and one and (one.sequences, one.qualities) == (two.sequences, two.qualities):
        raise BadInputError("SAME_FILE", f"{name_1} and {name_2} hold the same reads")
    if number == 0 and (one.mate, two.mate) in {(b"2", b"1"), (b"2", b""), (b"", b"1")}:
        raise BadInputError("SWAPPED", f"{name_1} holds second mates or {name_2} first ones: they are swapped")
    both = min(len(one), len(two))
    if one.names[:both] != two.names[:both]:
        names = enumerate(zip(one.names, two.names, strict=False), start=number + 1)
        place = next(place for place, (name, mate) in names if name != mate)
        raise BadInputError("MATE_NAMES", f"read {place} of {name_1} and of {name_2} have different names")


def check_phred33(qualities: Sequence[bytes], file: str) -> None:
    seen = set(b"".join(qualities))
    # ';' and 'i' are the ends of Phred+64; sequencers that count from 33 give no 'P' without some below ';'.
    if seen and min(seen) >= 59 and 80 <= max(seen) <= 105:
        raise BadInputError("MALFORMED", f"{file} has Phred+64 qualities (old Illumina); convert them to Phred+33")
