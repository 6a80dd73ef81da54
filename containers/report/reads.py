"""Read what samtools stats counted: the reads, their qualities, and the sizes of the inserts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from containers.report.figures import Figure, percent

Points = list[tuple[float, float]]
MIN_Q = 30  # a base that is wrong once in 1,000 times
SINGLE = "single-end reads"  # the note of figures that they do not have
INSERT_SHARE = 0.995  # of the pairs, in the plot


@dataclass
class Reads:
    """The reads of a run."""

    summary: dict[str, float]
    inserts: Points  # size, pairs
    qualities: dict[str, Points]  # R1 and R2: cycle, mean quality
    gc: float | None  # percent of the bases
    q30: float | None  # percent of the bases

    @property
    def have_mates(self) -> bool:
        """Whether the reads are of pairs."""
        return bool(self.summary.get("reads paired", 1))

    def figures(self) -> list[Figure]:
        """Return the figures of the reads; those of none have no value."""
        total, mapped = self.summary["raw total sequences"], self.summary["reads mapped"]
        paired, duplicates = self.summary["reads properly paired"], self.summary["reads duplicated"]
        size = median(self.inserts)
        return [
            Figure("reads", "Reads", total),
            Figure("mapped", "Mapped reads", percent(mapped, total)),
            self._of_pairs("properly_paired", "Properly paired reads", percent(paired, total), "of all reads"),
            Figure("duplicates", "Duplicates", percent(duplicates, mapped), "of the mapped reads"),
            self._of_pairs("insert_size", "Insert size", size, "median of the mapped pairs"),
            Figure("base_quality", "Mean base quality", self.summary["average quality"], "Phred"),
            Figure("q30", f"Bases with quality {MIN_Q} or more", self.q30),
            Figure("gc", "GC content of the reads", self.gc),
            Figure("error_rate", "Differences from the reference", 100 * self.summary["error rate"],
                   "mismatches by mapped bases: variants and errors"),
        ]  # fmt: skip

    def _of_pairs(self, name: str, label: str, value: float | None, note: str) -> Figure:
        """Return a figure of pairs, which single-end reads do not have."""
        return Figure(name, label, value, note) if self.have_mates else Figure(name, label, None, SINGLE, applies=False)


def read(path: Path) -> Reads:
    """Read the output of samtools stats."""
    sections = defaultdict[str, list[list[str]]](list)
    with path.open() as file:
        for line in file:
            name, _, rest = line.rstrip("\n").partition("\t")
            if name in {"SN", "IS", "FFQ", "LFQ", "FTC", "LTC"}:
                sections[name].append(rest.split("\t"))
    summary = {fields[0].rstrip(":"): float(fields[1]) for fields in sections["SN"] if is_number(fields[1])}
    cycles = {mate: [list(map(int, row)) for row in sections[name]] for mate, name in (("R1", "FFQ"), ("R2", "LFQ"))}
    inserts = [(float(size), float(pairs)) for size, pairs, *_ in sections["IS"]]
    all_cycles = [row for rows in cycles.values() for row in rows]
    bases, good = sum(sum(row[1:]) for row in all_cycles), sum(sum(row[1 + MIN_Q :]) for row in all_cycles)
    qualities = {mate: points for mate, rows in cycles.items() if (points := _means(rows))}
    a, c, g, t = (sum(int(row[place]) for name in ("FTC", "LTC") for row in sections[name]) for place in range(4))
    return Reads(summary, inserts, qualities, percent(c + g, a + c + g + t), percent(good, bases))


def is_number(text: str) -> bool:
    """Return whether a value of the summary is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _means(rows: Sequence[Sequence[int]]) -> Points:
    """Return the mean quality of each cycle: a row has the cycle and the number of bases of each quality."""
    return [
        (float(cycle), sum(quality * bases for quality, bases in enumerate(counts)) / sum(counts))
        for cycle, *counts in rows
        if sum(counts)
    ]


def median(points: Points) -> float | None:
    """Return the median of values with their numbers; None without any."""
    half, seen = sum(number for _, number in points) / 2, 0.0
    for value, number in points:
        seen += number
        if half and seen >= half:
            return value
    return None


def shorten(points: Points, share: float = INSERT_SHARE) -> Points:
    """Return the points up to the value that this share of all has: a few inserts are very long."""
    total, seen, kept = sum(number for _, number in points), 0.0, list[tuple[float, float]]()
    for value, number in points:
        kept.append((value, number))
        seen += number
        if seen >= share * total:
            break
    return kept
