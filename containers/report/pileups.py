"""Draw the reads at a variant: one line of text for each read, below the bases of the reference."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from containers.report.calls import Variant
from containers.report.slices import Read

SIDE = 40  # bases on each side of a variant
MAX_READS = 30  # drawn: of more, a sample by their names
MIN_QUALITY = 13  # of a base: bcftools ignores those below
MATCH, INSERTION, DELETION, SKIP, SOFT, EQUAL, DIFFERENT = 0, 1, 2, 3, 4, 7, 8  # operations of a CIGAR
ARROWS = {False: "→", True: "←"}  # by whether the read is reverse
Runs = list[tuple[str, str]]  # class and text


@dataclass
class Pileup:
    """The reads at a variant."""

    variant: Variant
    reference: Runs = field(default_factory=list)
    rows: list[tuple[Runs, str]] = field(default_factory=list)  # its bases; strand and mapping quality
    summary: str = ""  # how many reads have the allele, or why none are shown


def draw(variant: Variant, reads: Sequence[Read], reference: str, start: int) -> Pileup:
    """Return the drawing of the reads at a variant. `reference` are the bases around it, the first one at `start`."""
    known = "…" not in variant.ref + variant.alt
    with_allele = {key(read) for read in reads if known and has_allele(read, variant)}
    shown = sorted(reads, key=lambda read: zlib.crc32(read.name))[:MAX_READS]
    shown.sort(key=lambda read: (key(read) not in with_allele, read.start, read.name))
    middle = variant.position - 1 - start
    bases = [("ref" if middle <= place < middle + len(variant.ref) else "", base)
             for place, base in enumerate(reference)]  # fmt: skip
    rows = [(runs(cells(read, reference, start)), f"{ARROWS[read.reverse]} {read.quality:>2}") for read in shown]
    text = describe(reads, [read for read in reads if key(read) in with_allele]) if known else f"{len(reads):,} reads."
    drawn = f" {MAX_READS} of the reads are drawn." if len(reads) > MAX_READS else ""
    return Pileup(variant, runs(bases), rows, text + drawn)


def key(read: Read) -> tuple[bytes, int, bool]:
    """Return what tells a read from its mate."""
    return read.name, read.start, read.reverse


def describe(reads: Sequence[Read], with_allele: Sequence[Read]) -> str:
    """Say how many reads have the allele, by strand."""
    reverse, all_reverse = (sum(read.reverse for read in one) for one in (with_allele, reads))
    return (
        f"{len(with_allele):,} of {len(reads):,} reads have the allele: {len(with_allele) - reverse:,} of "
        f"{len(reads) - all_reverse:,} forward, {reverse:,} of {all_reverse:,} reverse."
    )


def has_allele(read: Read, variant: Variant) -> bool:
    """Return whether the bases of a read over the reference allele are those of the alternate one, of good quality."""
    first, found = variant.position - 1, ""
    last, reached = first + len(variant.ref), False
    for operation, place, bases, quality in walk(read):
        if operation == MATCH and first <= place < last and quality < MIN_QUALITY:
            return False
        if operation == INSERTION:
            found += bases if first < place <= last and found else ""
        elif operation != SKIP and first <= place < last:
            found += bases if operation != DELETION else ""
            reached = reached or place == last - 1
    return reached and found == variant.alt.upper()


def walk(read: Read) -> list[tuple[int, int, str, int]]:
    """Return the operation, the place on the contig, the bases and the quality of each base, gap and insertion."""
    found, place, at = list[tuple[int, int, str, int]](), read.start, 0
    for operation, length in read.cigar:
        if operation in {MATCH, EQUAL, DIFFERENT}:
            found += [(MATCH, place + n, read.bases[at + n], read.qualities[at + n]) for n in range(length)]
        elif operation in {DELETION, SKIP}:
            found += [(operation, place + n, "", 0) for n in range(length)]
        elif operation == INSERTION:
            found.append((INSERTION, place, read.bases[at : at + length], 0))
        place += length if operation in {MATCH, EQUAL, DIFFERENT, DELETION, SKIP} else 0
        at += length if operation in {MATCH, EQUAL, DIFFERENT, INSERTION, SOFT} else 0
    return found


def cells(read: Read, reference: str, start: int) -> list[tuple[str, str]]:
    """Return the class and the letter of each place: `.` as the reference, a base, `-` deleted, `+` inserted after."""
    line = [("", " ")] * len(reference)
    for operation, place, bases, quality in walk(read):
        at = place - start
        if operation == INSERTION and 0 < at <= len(line):
            line[at - 1] = ("ins", "+")
        elif 0 <= at < len(line) and operation == MATCH:
            same = bases == reference[at].upper()
            kind = "" if same else f"base{bases}" if quality >= MIN_QUALITY else "low"
            line[at] = (kind, "." if same else bases.lower() if kind == "low" else bases)
        elif 0 <= at < len(line) and operation in {DELETION, SKIP}:
            line[at] = ("del" if operation == DELETION else "", "-" if operation == DELETION else " ")
    return line


def runs(line: Sequence[tuple[str, str]]) -> Runs:
    """Return the letters of one class that follow each other as one text."""
    return [(kind, "".join(letter for _, letter in group)) for kind, group in groupby(line, key=lambda cell: cell[0])]
