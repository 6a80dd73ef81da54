"""Find the bytes of a BAM or CRAM that have the reads of parts of the genome, by its index. Pure."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

BLOCK = 1 << 16  # bytes: no BGZF block is longer
MAX_GAP = 1 << 20  # bytes between two ranges that are read at once, since that is quicker than another request
# The first bin of each level of a BAI and the bits of its bases (SAM specification, 5.3).
LEVELS = ((0, 29), (1, 26), (9, 23), (73, 20), (585, 17), (4681, 14))
WINDOW = 14  # bits: the linear index has a place for each 16,384 bases
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
    """What a BAI has of a contig; its places are virtual: of a block in the file, and of a read in the block."""

    chunks: Mapping[int, Sequence[tuple[int, int]]]  # bin -> start and end
    linear: Sequence[int]  # window -> the first read that overlaps it

    def find(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the chunks that may have reads of these bases."""
        window = start >> WINDOW
        least = self.linear[window] if window < len(self.linear) else 0
        for first, bits in LEVELS:
            for number in range(first + (start >> bits), first + ((end - 1) >> bits) + 1):
                yield from (chunk for chunk in self.chunks.get(number, ()) if chunk[1] > least)


def of_bam(bai: bytes, size: int, spans: Iterable[Span]) -> list[Range]:
    """Return the bytes of a BAM that have its header, its end, and all reads that overlap the spans.

    All bytes if no read has a place: then the index does not say where the header ends.
    """
    contigs = _read_bai(bai)
    places = [chunk[0] for contig in contigs for chunks in contig.chunks.values() for chunk in chunks]
    if not places:
        return [Range(0, size)]
    ranges = [Range(0, (min(places) >> 16) + BLOCK), Range(size - BLOCK, size)]
    for span in spans:
        found = contigs[span.contig].find(span.start, span.end)
        ranges += [Range(start >> 16, (end >> 16) + BLOCK) for start, end in found]
    return merge(ranges, size)


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


def of_cram(crai: str, size: int, spans: Iterable[Span]) -> list[Range]:
    """Return the bytes of a CRAM that have its header, its end, and all containers with reads that overlap the spans.

    For each span, one container more on each side: htslib reads on until it finds one that begins behind the span.
    """
    lines = [tuple(map(int, line.split("\t")[:CRAI_COLUMNS])) for line in crai.splitlines()]
    offsets = sorted({line[3] for line in lines})
    if not offsets:
        return [Range(0, size)]
    slices: dict[int, list[tuple[int, int, int]]] = {}
    for contig, first, bases, place in lines:
        slices.setdefault(contig, []).append((first - 1, first - 1 + bases, bisect_left(offsets, place)))
    ends = [*offsets[1:], size]
    ranges = [Range(0, offsets[0]), Range(size - BLOCK, size)]
    searched = {contig: _Slices(sorted(found)) for contig, found in slices.items()}
    for span in spans:
        if span.contig in searched:
            first, last = searched[span.contig].find(span.start, span.end)
            ranges.append(Range(offsets[max(0, first - 1)], ends[min(last + 1, len(ends) - 1)]))
    return merge(ranges, size)


class _Slices:
    """The slices of a contig in a CRAM, by their first base."""

    def __init__(self, slices: Sequence[tuple[int, int, int]]) -> None:
        """Take start, end and number of the container of each slice."""
        self._starts = [start for start, _, _ in slices]
        self._ends = list(accumulate((end for _, end, _ in slices), max))
        self._containers = [container for _, _, container in slices]

    def find(self, start: int, end: int) -> tuple[int, int]:
        """Return the first and the last container that may have reads of these bases, or the ones next to them."""
        last = max(0, bisect_left(self._starts, end) - 1)
        first = min(bisect_right(self._ends, start), last)
        return min(self._containers[first : last + 1]), max(self._containers[first : last + 1])


def merge(ranges: Iterable[Range], size: int) -> list[Range]:
    """Return ranges within a file of `size` bytes in order, joined where they have at most MAX_GAP between them."""
    merged: list[Range] = []
    for start, end in sorted(Range(max(0, one.start), min(one.end, size)) for one in ranges):
        if merged and start <= merged[-1].end + MAX_GAP:
            merged[-1] = Range(merged[-1].start, max(merged[-1].end, end))
        elif start < end:
            merged.append(Range(start, end))
    return merged


def cut(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    """Yield pieces of the ranges of at most `size` bytes."""
    for start, end in ranges:
        yield from (Range(first, min(first + size, end)) for first in range(start, end, size))
