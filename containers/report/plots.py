"""Choose the charts of each section of the report, with their descriptions in words."""

from __future__ import annotations

from containers.report import charts, depth, reads
from containers.report.calls import IMPACTS, KINDS, SHARE_BINS, Calls
from containers.report.charts import Chart, Points
from containers.report.depth import Depth
from containers.report.reads import Reads
from containers.report.sources import Measured

MAX_DEPTHS, MAX_INSERTS = 150, 100  # bars of the histograms


def all_charts(measured: Measured) -> dict[str, list[Chart]]:
    """Return the charts of each section."""
    return {
        "depth": charts_of_depth(measured.depth) if measured.depth else [],
        "reads": charts_of_reads(measured.reads) if measured.reads else [],
        "calls": charts_of_calls(measured.calls) if measured.calls else [],
    }


def charts_of_depth(measured: Depth) -> list[Chart]:
    """Return the depth along the genome or the targets, and the histogram of depths."""
    found, place = list[Chart](), "targets" if measured.targets else "genome"
    if measured.curve:
        found.append(charts.along(measured.curve, measured.starts, measured.total.mean, targets=measured.targets))
    if measured.histogram:
        points = bins(measured.histogram, int(max(3 * measured.total.mean, 10)), MAX_DEPTHS)
        at_20 = measured.total.breadths[depth.THRESHOLDS.index(20)]
        text = f"Share of the bases with each depth. {at_20:.1f}% have a depth of 20 or more."
        found.append(charts.bars("depths", f"Depths of the {place}", text, ("depth", "bases"), points, unit="%"))
    return found


def bins(histogram: Points, highest: int, most: int) -> list[tuple[float, float]]:
    """Return a histogram with at most about `most` bars; the last one has all higher values too."""
    step = max(1, -(-highest // most))
    last = int(min(highest, histogram[-1][0])) // step
    sums = [0.0] * (last + 1)
    for value, number in histogram:
        sums[min(int(value) // step, last)] += number
    return [(place * step, round(number, 3)) for place, number in enumerate(sums)]


def charts_of_reads(measured: Reads) -> list[Chart]:
    """Return the qualities by cycle, and the sizes of the inserts."""
    found = list[Chart]()
    if measured.qualities:
        text = "Mean Phred quality of the bases at each cycle of " + " and ".join(
            f"{mate} (from {min(q for _, q in points):.1f} to {max(q for _, q in points):.1f})"
            for mate, points in measured.qualities.items()
        )
        found.append(charts.line("cycles", "Quality by cycle", f"{text}.", ("cycle", "quality"), measured.qualities))
    inserts = reads.shorten(measured.inserts)
    size = reads.median(measured.inserts)
    if size is not None:
        text = f"Number of pairs with each size. The median is {size:,.0f} bases; the largest 0.5 % are not shown."
        points = bins(inserts, int(inserts[-1][0]), MAX_INSERTS)
        found.append(charts.bars("inserts", "Insert size", text, ("bases", "pairs"), points))
    return found


def charts_of_calls(measured: Calls) -> list[Chart]:
    """Return the classes of variants, and the shares of their alleles."""
    kinds = {kind: measured.kinds[kind] for kind in KINDS if measured.kinds[kind]}
    impacts = {impact.lower(): measured.impacts[impact] for impact in IMPACTS if impact and measured.impacts[impact]}
    found = list[Chart]()
    if kinds:
        text = "Alleles with PASS: " + ", ".join(f"{number:,} {kind}" for kind, number in kinds.items()) + "."
        found.append(charts.classes("kinds", "Variant classes", text, "alleles", kinds))
    if impacts:
        text = "Worst effect of each allele with PASS: " + ", ".join(f"{n:,} {impact}" for impact, n in impacts.items())
        found.append(charts.classes("impacts", "Impact", f"{text}.", "alleles", impacts))
    if sum(measured.shares):
        points = [((place + 0.5) / SHARE_BINS, float(number)) for place, number in enumerate(measured.shares)]
        text = ("Share of the reads that have the allele, of SNPs with PASS. Heterozygous SNPs are near 0.5, homozygous"
                " ones near 1; groups elsewhere hint at another sample.")  # fmt: skip
        found.append(charts.bars("shares", "Allele shares", text, ("share of the reads", "SNPs"), points))
    return found
