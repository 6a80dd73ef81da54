"""Read what mosdepth measured: the depth of the genome, of its contigs and of the targets of a run."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from containers.report.figures import Figure, percent

THRESHOLDS = (1, 10, 20, 30)
MAX_BINS = 600  # of the curve along the genome
MAX_WORST = 15  # targets
MIN_AUTOSOMES = 5  # contigs other than X, Y and M: with fewer, the sex is not checked


class Region(NamedTuple):
    """A window of the genome, or a target: its place, and how many of its bases have each depth of THRESHOLDS."""

    contig: str
    start: int
    end: int
    mean: float
    covered: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of bases."""
        return self.end - self.start


@dataclass
class Sum:
    """The depth of many regions: of a contig, or of all."""

    bases: int = 0  # of its regions; a contig without reads may have none, see `Depth`
    depth: float = 0  # sum over the bases
    covered: list[int] = field(default_factory=lambda: [0] * len(THRESHOLDS))

    def add(self, region: Region) -> None:
        """Add a region."""
        self.bases += region.size
        self.depth += region.mean * region.size
        for place, bases in enumerate(region.covered):
            self.covered[place] += bases

    @property
    def mean(self) -> float:
        """The mean depth."""
        return self.depth / self.bases if self.bases else 0.0

    @property
    def breadths(self) -> list[float]:
        """The share of the bases with each depth of THRESHOLDS or more, in percent."""
        return [percent(bases, self.bases) or 0.0 for bases in self.covered]


@dataclass
class Depth:
    """The depth of a run, without duplicates: of its targets, or of the whole genome."""

    targets: bool
    total: Sum
    contigs: dict[str, Sum]
    worst: list[Region]  # targets with the lowest breadth at 20, then the lowest mean
    curve: list[tuple[float, float]]  # bases before the middle of a bin, mean depth
    starts: dict[str, int]  # bases before a contig, in the curve
    histogram: list[tuple[int, float]]  # depth, share of the bases in percent
    number: int = 0  # of targets

    def figures(self) -> list[Figure]:
        """Return the mean depth and the breadths."""
        place = "targets" if self.targets else "genome"
        labels = [f"Bases of the {place} with {depth} or more reads" for depth in THRESHOLDS]
        pairs = zip(THRESHOLDS, labels, self.total.breadths, strict=True)
        note = "without duplicates; overlapping mates count once"
        mean = Figure("mean_depth", f"Mean depth of the {place}", self.total.mean, note)
        return [mean, *(Figure(f"breadth_{depth}", label, breadth) for depth, label, breadth in pairs)]


def read(folder: Path, prefix: str, lengths: Mapping[str, int], *, targets: bool) -> Depth:
    """Read the files of mosdepth with this prefix. `lengths` are those of all contigs, in their order.

    mosdepth leaves contigs without reads out of its totals and windows; here they count with a depth of 0.
    """
    regions = list(_regions(folder, prefix))
    total, contigs = Sum(), defaultdict[str, Sum](Sum)
    for region in regions:
        total.add(region)
        contigs[region.contig].add(region)
    if not targets:
        for name, length in lengths.items():
            total.bases += length - contigs[name].bases
            contigs[name].bases = length
    scope = "region" if targets else "global"
    histogram = _histogram(folder / f"{prefix}.mosdepth.{scope}.dist.txt", total)
    curve, starts = _curve(regions, contigs)
    order = {name: place for place, name in enumerate(lengths)}
    worst = nsmallest(MAX_WORST, regions, key=lambda region: (region.covered[2] / max(region.size, 1), region.mean))
    ordered = dict(sorted(contigs.items(), key=lambda item: order.get(item[0], len(order))))
    return Depth(targets, total, ordered, worst if targets else [], curve, starts, histogram, len(regions))


def _regions(folder: Path, prefix: str) -> Iterator[Region]:
    with (
        gzip.open(folder / f"{prefix}.regions.bed.gz", "rt") as means,
        gzip.open(folder / f"{prefix}.thresholds.bed.gz", "rt") as thresholds,
    ):
        next(thresholds, "")  # its header
        for mean, line in zip(means, thresholds, strict=True):
            contig, start, end, _, *covered = line.rstrip("\n").split("\t")
            yield Region(contig, int(start), int(end), float(mean.rsplit("\t", 1)[1]), tuple(map(int, covered)))


def _histogram(path: Path, total: Sum) -> list[tuple[int, float]]:
    """Return the share of the bases with each depth. The file has the share with this depth or more, highest first."""
    lines = (line.rstrip("\n").split("\t") for line in path.open() if line.startswith("total\t"))
    shares = [(int(depth), float(share)) for _, depth, share in lines]
    exact = [(depth, share - above) for (_, above), (depth, share) in pairwise([(0, 0.0), *shares])]
    # The file counts contigs with reads alone: of these, the bases with a depth of 1 or more are known exactly.
    covered = sum(share for depth, share in exact if depth)
    scale = total.breadths[0] / covered if covered else 0.0
    return [(0, 100 - total.breadths[0]), *((depth, share * scale) for depth, share in reversed(exact) if depth)]


def _curve(regions: Sequence[Region], contigs: Mapping[str, Sum]) -> tuple[list[tuple[float, float]], dict[str, int]]:
    """Return the mean depth along all regions in at most about MAX_BINS bins, and where each contig starts."""
    size = max(1, sum(one.bases for one in contigs.values()) // MAX_BINS)
    curve, starts, before = list[tuple[float, float]](), dict[str, int](), 0
    filled = Sum()
    for place, region in enumerate(regions):
        if region.contig not in starts:
            starts[region.contig] = before
        filled.add(region)
        before += region.size
        if filled.bases >= size or place == len(regions) - 1:
            curve.append((before - filled.bases / 2, filled.mean))
            filled = Sum()
    return curve, starts


def karyotype(shares: Mapping[str, float]) -> str:
    """Return the sex chromosomes that fit the depths of X and Y by the autosomes: XX or XY; "" if neither does."""
    x, y = shares["X"], shares["Y"]
    if x > 0.8 and y < 0.15:  # Y has repeats that reads of X align to
        return "XX"
    if 0.35 < x < 0.65 and y > 0.25:  # much of Y is masked or repeats: less than half
        return "XY"
    return ""


def sexes(depth: Depth) -> dict[str, float]:
    """Return the depth of X and of Y, each by that of the autosomes; {} for a genome without them, or with no reads."""
    short = {name.removeprefix("chr").upper(): one for name, one in depth.contigs.items() if one.bases}
    autosomes = [one.mean for name, one in short.items() if name.isdigit()]
    if not {"X", "Y"} <= short.keys() or len(autosomes) < MIN_AUTOSOMES or not (middle := median(autosomes)):
        return {}
    return {name: short[name].mean / middle for name in ("X", "Y")}
