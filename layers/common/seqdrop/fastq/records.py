"""FASTQ records, proven many at a time.

Nothing here looks at one read alone unless something is wrong: what all reads must have is asked of all of them at
once, in calls that are loops in C.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqdrop.failure.verdict import BadInputError

LONGEST_LINE = 1 << 20  # bytes
LONGEST_NAME = 254  # bytes: a BAM record has no room for more
LINES = 4  # of a record
MATES = (b"/1", b"/2")  # as names may end
# What SAM allows in names, bases and qualities.
NAME_BYTES = bytes(byte for byte in range(33, 127) if byte != ord("@"))
BASES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.="
QUALITIES = bytes(range(33, 127))


@dataclass(frozen=True, slots=True)
class Batch:
    """Reads of one mate, in order: names without `/1` or comment, sequences, qualities."""

    names: list[bytes]
    sequences: list[bytes]
    qualities: list[bytes]
    mate: bytes  # b"1" or b"2" where the first read's header says which mate it is, else b""

    def __len__(self) -> int:
        return len(self.names)


def without_blank_end(lines: list[bytes]) -> list[bytes]:
    """Blank lines at the very end do no harm; those of a last record without bases are not among them."""
    while lines and not lines[-1] and (len(lines) % LINES or not any(lines[-LINES:])):
        lines.pop()
    return lines


def proven(lines: list[bytes], file: str, number: int) -> Batch:
    """The reads of these lines, `number` reads having come before them; raises BadInputError."""
    whole = len(lines) - len(lines) % LINES
    columns = [lines[place:whole:LINES] for place in range(LINES)]
    heads, sequences, pluses, qualities = columns
    names = _full_names(heads)
    if whole and not (names and _are_reads(names, sequences, pluses, qualities)):
        raise _first_fault(zip(*columns, strict=True), file, number)
    if len(lines) > whole:
        place = number + whole // LINES + 1
        if not lines[whole].startswith(b"@"):  # a note, a log's line: no read that was cut
            raise BadInputError("MALFORMED", f"{file}: no '@' where a name should begin in read {place}")
        raise BadInputError("TRUNCATED", f"{file} ends in the middle of read {place}")
    return Batch(_without_mate(names), sequences, qualities, _mate(heads[0]) if heads else b"")


def _full_names(heads: list[bytes]) -> list[bytes]:
    """What stands between "@" and the first blank of every head; empty when one does not begin with "@"."""
    joined = b"\n".join(heads).replace(b"\t", b" ")
    bare = joined[1:].split(b"\n@")
    if not joined.startswith(b"@") or len(bare) != len(heads):
        return []
    return [head.partition(b" ")[0] for head in bare]


def _without_mate(names: list[bytes]) -> list[bytes]:
    if b"/" not in b"".join(names):
        return names
    return [name[:-2] if name.endswith(MATES) else name for name in names]


def _are_reads(names: list[bytes], sequences: list[bytes], pluses: list[bytes], qualities: list[bytes]) -> bool:
    """Whether all records are whole and hold nothing that SAM does not allow."""
    lengths = list(map(len, sequences))
    name_lengths = list(map(len, names))
    return (
        lengths == list(map(len, qualities))
        and min(lengths) > 0
        and max(lengths) <= LONGEST_LINE
        and min(name_lengths) > 0
        and max(name_lengths) <= LONGEST_NAME
        and b"\n".join([b"", *pluses]).count(b"\n+") == len(pluses)
        and not b"".join(names).translate(None, NAME_BYTES)
        and not b"".join(sequences).translate(None, BASES)
        and not b"".join(qualities).translate(None, QUALITIES)
    )


def _first_fault(records: Iterable[tuple[bytes, ...]], file: str, number: int) -> BadInputError:
    for place, record in enumerate(records, start=number + 1):
        if fault := _fault(*record):
            return BadInputError(fault[0], f"{file}: {fault[1]} in read {place}")
    raise AssertionError("a batch was refused but none of its reads")


def _fault(head: bytes, sequence: bytes, plus: bytes, quality: bytes) -> tuple[str, str] | None:
    """Kind and words of what is wrong with one read; asks what `_are_reads` asks of all."""
    name = head[1:].replace(b"\t", b" ").partition(b" ")[0]
    faults = [
        (head[:1] != b"@", "MALFORMED", "no '@' where a name should begin"),
        (not name, "MALFORMED", "no name"),
        (len(name) > LONGEST_NAME, "LIMIT", f"a name of more than {LONGEST_NAME} bytes"),
        (name.translate(None, NAME_BYTES), "MALFORMED", "a name with a letter that SAM does not allow"),
        (plus[:1] != b"+", "MALFORMED", "no '+' line"),
        (not sequence, "MALFORMED", "no bases"),
        (len(sequence) > LONGEST_LINE, "LIMIT", f"more than {LONGEST_LINE:,} bases"),
        (len(sequence) != len(quality), "MALFORMED", f"{len(sequence)} bases but {len(quality)} qualities"),
        (sequence.translate(None, BASES), "MALFORMED", "a letter that stands for no base"),
        (quality.translate(None, QUALITIES), "MALFORMED", "a quality that SAM does not allow"),
    ]
    return next(((kind, words) for wrong, kind, words in faults if wrong), None)


def _mate(head: bytes) -> bytes:
    """Which mate a header says it is: `name/2`, or CASAVA 1.8's `name 2:N:0:...`."""
    name, _, comment = head.partition(b" ")
    if name.endswith(MATES):
        return name[-1:]
    return comment[:1] if comment.startswith((b"1:", b"2:")) else b""


def prove_mates(one: Batch, two: Batch, name_1: str, name_2: str, number: int) -> None:
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


def prove_phred33(qualities: Sequence[bytes], file: str) -> None:
    seen = set(b"".join(qualities))
    # ';' and 'i' are the ends of Phred+64; sequencers that count from 33 give no 'P' without some below ';'.
    if seen and min(seen) >= 59 and 80 <= max(seen) <= 105:
        raise BadInputError("MALFORMED", f"{file} has Phred+64 qualities (old Illumina); convert them to Phred+33")
