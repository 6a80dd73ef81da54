"""Find the bytes of a BAM or CRAM that have the reads of parts of the genome, by its index. Pure."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, groupby, pairwise
from typing import NamedTuple

BLOCK = 1 << 16  # bytes: no BGZF block is longer
MAX_GAP = 1 << 20  # bytes between two ranges that are read at once, since that is quicker than another request
# The first bin of each level of a BAI and the bits of its bases (SAM specification, 5.3).
LEVELS = ((0, 29), (1, 26), (9, 23), (73, 20), (585, 17), (4681, 14))
WINDOW = 14  # bits: the linear index has a place for each 16,384 bases
NO_END = 1 << 31  # no contig has so many bases
PSEUDO_BIN = 37450  # its chunks are counts
CRAI_COLUMNS = 4  # of six: contig, first base, bases, and the place of the container


class Span(NamedTuple):
    """A part of a contig (its number in the header), with start and end as in a BED file."""

    contig: int
    start: int
    end: int


class Range(NamedTuple):
    """Bytes of a file: `start` to before `end`."""

    start: int
    end: int


class Contig(NamedTuple):
    """The index of a contig; offsets are virtual offsets of BGZF."""

    chunks: Mapping[int, Sequence[tuple[int, int]]]  # bin -> start and end
    linear: Sequence[int]  # window -> the first read that overlaps it

    def find(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the chunks that may have reads of these bases."""
        window = start >> WINDOW
        least = self.linear[window] if window < len(self.linear) else 0
        for first, bits in LEVELS:
            for number in range(first + (start >> bits), first + ((end - 1) >> bits) + 1):
                yield from (chunk for chunk in self.chunks.get(number, ()) if chunk[1] > least)


class BamIndex:
    """The BAI of a BAM."""

    def __init__(self, bai: bytes, size: int) -> None:
        """Take the content of the index, and the bytes of the BAM."""
        self._contigs, self._size = _read_bai(bai), size

    def part(self, span: Span) -> list[Range]:
        """Return the bytes with all reads that overlap a span."""
        if span.contig >= len(self._contigs):
            return []
        found = self._contigs[span.contig].find(span.start, span.end)
        return merge((Range(start >> 16, (end >> 16) + BLOCK) for start, end in found), self._size, 0)

    def ranges(self, spans: Iterable[Span]) -> list[Range]:
        """Return the bytes that have the header, the end, and all reads that overlap the spans.

        All bytes if no read has a place: then the index does not say where the header ends.
        """
        places = [chunk[0] for contig in self._contigs for chunks in contig.chunks.values() for chunk in chunks]
        if not places:
            return [Range(0, self._size)]
        ends = [Range(0, (min(places) >> 16) + BLOCK), Range(self._size - BLOCK, self._size)]
        return merge(chain(ends, *map(self.part, spans)), self._size, MAX_GAP)

    def bases(self, _: Span) -> list[Span]:
        """Return the bases of the genome that decoding needs: none."""
        return []


def _read_bai(bai: bytes) -> list[Contig]:
    contigs, at = list[Contig](), 8
    for _ in range(struct.unpack_from("<i", bai, 4)[0]):
        bins, at = struct.unpack_from("<i", bai, at)[0], at + 4
        chunks = {}
        for _ in range(bins):
            number, count = struct.unpack_from("<Ii", bai, at)
            values = struct.unpack_from(f"<{2 * count}Q", bai, at + 8)
            chunks[number] = list(zip(values[::2], values[1::2], strict=True))
            at += 8 + 16 * count
        chunks.pop(PSEUDO_BIN, None)
        windows = struct.unpack_from("<i", bai, at)[0]
        contigs.append(Contig(chunks, struct.unpack_from(f"<{windows}Q", bai, at + 4)))
        at += 4 + 8 * windows
    return contigs


class Slice(NamedTuple):
    """Reads of a contig in a CRAM, with start and end as in a BED file."""

    contig: int
    start: int
    end: int
    container: int  # its number in the file


class CramIndex:
    """The CRAI of a CRAM."""

    def __init__(self, crai: str, size: int) -> None:
        """Take the content of the index, and the bytes of the CRAM."""
        lines = [tuple(map(int, line.split("\t")[:CRAI_COLUMNS])) for line in crai.splitlines()]
        offsets, self._size = sorted({line[3] for line in lines}), size
        self._containers = [Range(*ends) for ends in pairwise([*offsets, size])]
        self._slices = sorted(
            Slice(contig, first - 1, first - 1 + bases, bisect_left(offsets, place))
            for contig, first, bases, place in lines
        )
        groups = groupby(self._slices, lambda one: one.contig)
        self._contigs = {contig: _Slices(list(found)) for contig, found in groups}

    def part(self, span: Span) -> list[Range]:
        """Return the containers with all reads that overlap a span."""
        return merge((self._containers[number] for number in self._numbers(span)), self._size, 0)

    def ranges(self, spans: Iterable[Span]) -> list[Range]:
        """Return the bytes that have the header, the end, and all containers with reads that overlap the spans.

        For each span, one container more on each side: htslib reads on until it finds one that begins behind the span.
        """
        if not self._containers:
            return [Range(0, self._size)]
        ranges = [Range(0, self._containers[0].start), Range(self._size - BLOCK, self._size)]
        for span in spans:
            if numbers := [one.container for one in self._near(span)]:
                found = self._containers[max(0, min(numbers) - 1) : max(numbers) + 2]
                ranges.append(Range(found[0].start, found[-1].end))
        return merge(ranges, self._size, MAX_GAP)

    def bases(self, span: Span) -> list[Span]:
        """Return the bases of the genome that decoding `part` needs: those under all reads of its containers.

        Of a container with several contigs, htslib reads the whole contigs: `end` may be behind their ends.
        """
        numbers = self._numbers(span)
        found = [one for one in self._slices if one.container in numbers and one.contig >= 0]
        contigs = {number: {one.contig for one in found if one.container == number} for number in numbers}
        return [
            Span(one.contig, max(0, one.start), one.end)
            if len(contigs[one.container]) == 1
            else Span(one.contig, 0, NO_END)
            for one in found
        ]

    def _numbers(self, span: Span) -> set[int]:
        """Return the numbers of the containers with reads that overlap a span."""
        return {one.container for one in self._near(span) if one.start < span.end and one.end > span.start}

    def _near(self, span: Span) -> Sequence[Slice]:
        return self._contigs[span.contig].find(span.start, span.end) if span.contig in self._contigs else ()


class _Slices:
    """The slices of a contig in a CRAM, by their first base."""

    def __init__(self, slices: Sequence[Slice]) -> None:
        """Take the slices in order."""
        self._slices = slices
        self._starts = [one.start for one in slices]
        self._ends = list(accumulate((one.end for one in slices), max))

    def find(self, start: int, end: int) -> Sequence[Slice]:
        """Return neighbour slices with all that may have reads of these bases, or the one next to the bases."""
        last = max(0, bisect_left(self._starts, end) - 1)
        first = min(bisect_right(self._ends, start), last)
        return self._slices[first : last + 1]


def merge(ranges: Iterable[Range], size: int, gap: int) -> list[Range]:
    """Return ranges within a file of `size` bytes in order, joined where they have at most `gap` between them."""
    merged: list[Range] = []
    for start, end in sorted(Range(max(0, one.start), min(one.end, size)) for one in ranges):
        if merged and start <= merged[-1].end + gap:
            merged[-1] = Range(merged[-1].start, max(merged[-1].end, end))
        elif start < end:
            merged.append(Range(start, end))
    return merged


def cut(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    """Yield the ranges, cut into such of at most `size` bytes."""
    for start, end in ranges:
        yield from (Range(first, min(first + size, end)) for first in range(start, end, size))
