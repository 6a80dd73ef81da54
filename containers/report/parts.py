"""Find the parts of a BAM or CRAM that hold the reads of a region, by its index, so that the rest need not be read."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BLOCK = 1 << 16  # bytes: the largest BGZF block
WINDOW, LEVELS = 14, 5  # of a BAI: its smallest bins have 16,384 bases, each level above has bins of 8 of them
NEXT = 1 << 10  # bytes: the header of a container of a CRAM is smaller
MAX_HEADER = 16 << 20  # bytes of the header of a file without reads
Part = tuple[int, int]  # first byte, and the byte after the last one


class Region(NamedTuple):
    """Bases of a contig, from `start` to before `end`, counted from 0."""

    contig: int  # its place in the header
    start: int
    end: int


class Slice(NamedTuple):
    """A line of a CRAI: reads of one contig in a container."""

    contig: int
    start: int  # from 1
    span: int
    container: int  # its first byte


@dataclass
class BamIndex:
    """A BAI: for each contig its bins and its linear index, with virtual offsets."""

    bins: Sequence[Mapping[int, tuple[int, ...]]]  # bin -> start and end of each chunk
    linear: Sequence[tuple[int, ...]]  # the first read of each 16,384 bases
    first: int  # byte of the first block with reads

    def header(self, size: int) -> Part:
        """Return the part with the header: to the end of the block in which the reads begin."""
        return 0, min(size, (self.first + BLOCK) if self.first else MAX_HEADER)

    def parts(self, region: Region, size: int) -> list[Part]:
        """Return the parts with the reads of a region of a BAM of this size."""
        if region.contig >= len(self.bins):
            return []
        linear, bins = self.linear[region.contig], self.bins[region.contig]
        window = region.start >> WINDOW
        minimum = linear[window] if window < len(linear) else 0
        found = [bins.get(number, ()) for number in bins_of(region)]
        chunks = [chunk for numbers in found for chunk in zip(numbers[::2], numbers[1::2], strict=True)]
        return merge((start >> 16, min(size, (end >> 16) + BLOCK)) for start, end in chunks if end > minimum)

    def bases(self, _: Region) -> list[Region]:
        """Return the bases of the genome that decoding needs: none."""
        return []


@dataclass
class CramIndex:
    """A CRAI."""

    slices: Sequence[Slice]

    def header(self, size: int) -> Part:
        """Return the part with the header: everything before the first container with reads."""
        return 0, min((one.container for one in self.slices), default=size)

    def parts(self, region: Region, size: int) -> list[Part]:
        """Return the containers with the reads of a region, and the header of the next one: samtools reads it."""
        starts = sorted({one.container for one in self.slices})
        ends = dict(zip(starts, [*starts[1:], size], strict=True))
        return merge((one, min(size, ends[one] + NEXT)) for one in self._containers(region))

    def bases(self, region: Region) -> list[Region]:
        """Return the bases of the genome that decoding these containers needs: those under all of their reads."""
        containers = self._containers(region)
        found = (one for one in self.slices if one.container in containers and one.contig >= 0)
        return [Region(one.contig, max(0, one.start - 1), one.start - 1 + one.span) for one in found]

    def _containers(self, region: Region) -> set[int]:
        return {
            one.container
            for one in self.slices
            if one.contig == region.contig and one.start - 1 < region.end and one.start - 1 + one.span > region.start
        }


def bins_of(region: Region) -> list[int]:
    """Return the bins of a BAI with reads of a region, as the SAM specification numbers them."""
    found, first = [0], 1
    for level in range(1, LEVELS + 1):
        shift = WINDOW + 3 * (LEVELS - level)
        found += range(first + (region.start >> shift), first + (max(region.start, region.end - 1) >> shift) + 1)
        first += 8**level
    return found


def read_bai(bai: bytes) -> BamIndex:
    """Return the index of a BAM."""
    bins, linear = list[dict[int, tuple[int, ...]]](), list[tuple[int, ...]]()
    contigs, at = struct.unpack_from("<i", bai, 4)[0], 8
    for _ in range(contigs):
        own, number, at = dict[int, tuple[int, ...]](), struct.unpack_from("<i", bai, at)[0], at + 4
        for _ in range(number):
            name, chunks = struct.unpack_from("<Ii", bai, at)
            own[name] = struct.unpack_from(f"<{2 * chunks}Q", bai, at + 8)
            at += 8 + 16 * chunks
        places = struct.unpack_from("<i", bai, at)[0]
        bins.append(own)
        linear.append(struct.unpack_from(f"<{places}Q", bai, at + 4))
        at += 4 + 8 * places
    first = min((next(filter(None, offsets), 0) or math.inf for offsets in linear), default=math.inf)
    return BamIndex(bins, linear, 0 if first == math.inf else int(first) >> 16)


def read_crai(crai: bytes) -> CramIndex:
    """Return the index of a CRAM."""
    rows = (line.split("\t") for line in gzip.decompress(crai).decode().splitlines())
    return CramIndex([Slice(*map(int, row[:4])) for row in rows])


def merge(parts: Iterable[Part]) -> list[Part]:
    """Return parts in order, those that touch each other as one."""
    found = list[Part]()
    for start, end in sorted(parts):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
