"""Decide from its gVCF whether a sample without a call at a site is known to have the bases of the reference."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

LOW_DEPTH, OVERLAP = "LowDepth", "Overlap"  # FORMAT/FT of a genotype that is unknown


@dataclass(frozen=True, slots=True)
class Genotype:
    """The genotype of a sample without a call at a site."""

    is_reference: bool  # False: unknown
    depth: int  # the lowest of the bases of the site
    reason: str = ""  # why it is unknown: a value of FORMAT/FT


@dataclass
class Evidence:
    """The bases of a contig that the gVCF of a sample has reads of, and the calls that change several bases."""

    least_depth: float
    _starts: list[int] = field(default_factory=list)  # of runs of bases, ascending; positions count from 1
    _ends: list[int] = field(default_factory=list)
    _depths: list[int] = field(default_factory=list)
    _changed: list[tuple[int, int]] = field(default_factory=list)  # bases that a call deletes or replaces

    def add(self, start: int, end: int, depth: int) -> None:
        """Add a record of the gVCF; they come by start. Bases that an earlier record has are ignored."""
        start = max(start, self._ends[-1] + 1) if self._ends else start
        if start <= end:
            self._starts.append(start)
            self._ends.append(end)
            self._depths.append(depth)

    def add_call(self, position: int, ref: str) -> None:
        """Add a call of the sample: it changes the bases after the first one, if it has any."""
        if len(ref) > 1:
            self._changed.append((position + 1, position + len(ref) - 1))

    def genotype(self, start: int, end: int) -> Genotype:
        """Return the genotype at a site where the sample has no call; `start` and `end` are its first and last base."""
        depth = self._depth(start, end)
        if any(first <= end and start <= last for first, last in self._changed):
            return Genotype(False, depth, OVERLAP)
        return Genotype(True, depth) if depth >= self.least_depth else Genotype(False, depth, LOW_DEPTH)

    def _depth(self, start: int, end: int) -> int:
        """Return the lowest depth from `start` to `end`; 0 if a base is in no record."""
        index = bisect_right(self._starts, start) - 1
        depths = []
        while start <= end:
            if not 0 <= index < len(self._starts) or not self._starts[index] <= start <= self._ends[index]:
                return 0
            depths.append(self._depths[index])
            start, index = self._ends[index] + 1, index + 1
        return min(depths)


def site_span(position: int, ref: str, alts: Iterable[str]) -> tuple[int, int]:
    """Return the first and the last base that show whether a sample has the alleles of a site.

    An insertion is between two bases: reads that do not have it show both.
    """
    inserts = any(len(alt) > len(ref) for alt in alts)
    return position, position + len(ref) - 1 + inserts


def record_span(position: int, end: int, ref: str, alts: Sequence[str]) -> tuple[int, int]:
    """Return the first and the last base of which a record of a gVCF says that they are there.

    A block has all its bases, an indel the one before it: the blocks behind have the depth of the others.
    """
    is_block = all(alt in {".", "<*>"} for alt in alts)
    return position, end if is_block or len(ref) == 1 else position
