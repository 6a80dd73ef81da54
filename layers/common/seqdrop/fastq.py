"""FASTQ files as they are found in the wild, read in pairs and proven while they are read.

Aligners end with 0 on reads that are cut, corrupt or mispaired, so nothing is believed here: every gzip member's
CRC, the shape of every record, equal counts and equal names of the mates.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from seqdrop.failure import BadInputError

GZIP_MAGIC = b"\x1f\x8b"
BATCH = 10_000  # pairs; fixed, so that what is made of a batch does not depend on the number of threads
# `INSTRUMENT:RUN:FLOWCELL:LANE:TILE:X:Y`, as sequencers name reads
_ILLUMINA = re.compile(rb"[^:\s]+:[^:\s]+:(?P<flowcell>[^:\s]+):(?P<lane>\d+):\d+:\d+:\d+")


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
    return f"{found['flowcell'].decode('ascii', 'replace')}.{found['lane'].decode()}" if found else None


def pairs(fastq_1: Path, fastq_2: Path) -> Generator[tuple[Batch, Batch]]:
    """Batches of both mates side by side, every one proven; raises BadInputError."""
    number = 0
    with closing(batches(fastq_1)) as first, closing(batches(fastq_2)) as second:
        while True:
            one, two = next(first, None), next(second, None)
            if one is None and two is None:
                break
            if one is None or two is None or len(one) != len(two):
                raise BadInputError(
                    "MATE_COUNT", f"{fastq_1.name} and {fastq_2.name} do not hold the same number of reads"
                )
            _prove_mates(one, two, number, fastq_1.name, fastq_2.name)
            number += len(one)
            yield one, two
    if number == 0:
        raise BadInputError("EMPTY", f"{fastq_1.name} and {fastq_2.name} hold no reads")


def count(fastq_1: Path, fastq_2: Path) -> int:
    """The number of pairs, once all of them are proven; raises BadInputError."""
    return sum(len(one) for one, _ in pairs(fastq_1, fastq_2))


def batches(path: Path) -> Generator[Batch]:
    """The records of one file, gzip (any number of members, BGZF too) or plain text."""
    from isal import igzip, isal_zlib  # noqa: PLC0415  compiled: in images, never in the layer

    with path.open("rb") as raw:
        zipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if not zipped and path.suffix == ".gz" and path.stat().st_size and raw.read(1) != b"@":
            raise BadInputError("NOT_GZIP", f"{path.name} is named .gz but is no gzip file")
        raw.seek(0)
        text = cast(BinaryIO, igzip.open(raw, "rb")) if zipped else raw
        number = 0
        try:
            while lines := list(islice(text, 4 * BATCH)):
                if batch := _batch(lines, path.name, number):
                    yield batch
                number += len(lines) // 4
        except EOFError:
            raise BadInputError("TRUNCATED", f"{path.name} is cut off: its gzip stream has no end") from None
        except (gzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
            raise BadInputError("CORRUPT_GZIP", f"{path.name} is damaged after read {number}: {error}") from None


def _batch(lines: list[bytes], name: str, number: int) -> Batch:
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:  # blank lines at the very end do no harm
        lines.pop()
    if len(lines) % 4:
        raise BadInputError("TRUNCATED", f"{name} ends in the middle of read {number + len(lines) // 4 + 1}")
    heads, sequences, pluses, qualities = lines[0::4], lines[1::4], lines[2::4], lines[3::4]
    for place, (head, sequence, plus, quality) in enumerate(zip(heads, sequences, pluses, qualities, strict=True)):
        if head[:1] != b"@" or plus[:1] != b"+" or len(sequence) != len(quality) or not sequence:
            raise BadInputError(
                "MALFORMED", f"{name}: {_complaint(head, sequence, plus, quality)} in read {number + place + 1}"
            )
    if number == 0:
        _prove_phred33(qualities, name)
    mate = _mate(heads[0]) if heads else b""
    return Batch([_name(head) for head in heads], sequences, qualities, mate)


def _complaint(head: bytes, sequence: bytes, plus: bytes, quality: bytes) -> str:
    if head[:1] != b"@":
        return "no '@' where a name should begin"
    if plus[:1] != b"+":
        return "no '+' line"
    if not sequence:
        return "no bases"
    return f"{len(sequence)} bases but {len(quality)} qualities"


def _name(head: bytes) -> bytes:
    name = head[1:].split(None, 1)[0] if len(head) > 1 else b""
    return name[:-2] if name[-2:] in (b"/1", b"/2") else name


def _mate(head: bytes) -> bytes:
    """Which mate a header says it is: `name/2`, or CASAVA 1.8's `name 2:N:0:...`."""
    name, _, comment = head.partition(b" ")
    if name[-2:] in (b"/1", b"/2"):
        return name[-1:]
    return comment[:1] if comment[1:2] == b":" and comment[:1] in (b"1", b"2") else b""


def _prove_phred33(qualities: list[bytes], name: str) -> None:
    seen = set(b"".join(qualities))
    if seen and min(seen) >= 59 and max(seen) >= 80:  # ';' and 'P': below, above what Phred+33 uses
        raise BadInputError("MALFORMED", f"{name} has Phred+64 qualities (old Illumina); convert them to Phred+33")


def _prove_mates(one: Batch, two: Batch, number: int, name_1: str, name_2: str) -> None:
    if number == 0 and one.sequences == two.sequences:
        raise BadInputError("SAME_FILE", f"{name_1} and {name_2} hold the same reads")
    if number == 0 and (one.mate, two.mate) == (b"2", b"1"):
        raise BadInputError("SWAPPED", f"{name_1} holds second mates and {name_2} first ones: they are swapped")
    if one.names != two.names:
        place = next(i for i, (a, b) in enumerate(zip(one.names, two.names, strict=True)) if a != b)
        raise BadInputError("MATE_NAMES", f"read {number + place + 1} of {name_1} and of {name_2} have different names")
