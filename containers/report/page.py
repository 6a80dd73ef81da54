"""Render the page of the report from what was measured.

Every value is escaped by Jinja: names of contigs, genes and samples, and fields of a VCF, are input of strangers. The
security policy in the page allows its own style and script, by their hashes, and no address.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from seqdrop import __version__
from seqdrop.plan.names import MANIFEST
from seqdrop.storage.uri import S3Uri

from containers.report import charts, depth, reads
from containers.report.calls import IMPACTS, KINDS, MAX_VARIANTS, SHARE_BINS, Calls
from containers.report.charts import Chart
from containers.report.depth import Depth, Sum
from containers.report.figures import show
from containers.report.policy import FAIL, PASS, WARN, Verdict
from containers.report.reads import Reads
from containers.report.sources import Measured

FOLDER = Path(__file__).parent
MAX_CONTIGS = 50  # listed
MAX_DEPTH = 200  # bars of the histogram of depths
TILES = ("mean_depth", "breadth_20", "mapped", "duplicates", "variants", "contamination")
SECTIONS = (("checks", "Checks"), ("depth", "Depth"), ("reads", "Reads"), ("variants", "Variants"), ("run", "Run"),
            ("files", "Files"))  # fmt: skip
HEADLINES = {
    PASS: "All figures are within their limits",
    WARN: "Check the points below before you use the variants",
    FAIL: "Do not use the variants of this run before the points below are explained",
}
WHAT_TO_DO = {
    PASS: "The reads and the calls look as expected. Each variant still needs its own review.",
    WARN: "Something is unusual.",
    FAIL: "The figures are too far from what this assay needs. All files are kept.",
}
INCOMPLETE = " Some steps have left no results: this page lacks their figures."
MIB = 1 << 20


def render(args: argparse.Namespace, measured: Measured, verdict: Verdict, policy_reason: str) -> str:
    """Return the page."""
    css, js = (Markup((FOLDER / f"page.{kind}").read_text()) for kind in ("css", "js"))  # noqa: S704  # our own files
    known = {figure.name: figure for figure in measured.figures}
    return _environment().get_template("page.html.jinja").render(
        css=css, js=js, policy=security_policy(css, js), version=__version__, sample=args.sample, run=args.run,
        verdict=verdict, headline=HEADLINES[verdict.result], what_to_do=describe_action(verdict, measured),
        warnings=measured.warnings, policy_reason=policy_reason,
        sections=SECTIONS, tiles=[known[name] for name in TILES if name in known],
        depth=measured.depth, reads=measured.reads, calls=measured.calls, call_figures=measured.call_figures,
        missing=measured.missing, thresholds=depth.THRESHOLDS, charts=all_charts(measured),
        **contigs_of(measured.depth), sex=describe_sex(measured), list_note=describe_list(measured.calls),
        breadth_note="Positions count from 1.", impacts=IMPACTS[:-1], ranks={name: n for n, name in enumerate(IMPACTS)},
        reference=describe_reference(args.reference, measured.summary),
        regions="those of intervals.bed" if args.intervals else "the whole genome",
        hours=hours(measured), steps=[describe_step(receipt) for receipt in measured.receipts],
        files=files(measured),
    )  # fmt: skip


def describe_action(verdict: Verdict, measured: Measured) -> str:
    """Return what the verdict means, and whether results are missing."""
    complete = measured.reads and measured.depth and measured.calls
    return WHAT_TO_DO[verdict.result] + ("" if complete else INCOMPLETE)


@cache
def _environment() -> Environment:
    found = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, auto_reload=False)
    found.filters["share"] = partial(show, "mapped")  # a percentage
    return found


def security_policy(css: str, js: str) -> str:
    """Return the policy that allows this style and this script alone."""
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js))
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


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
        points = bins(measured.histogram, int(max(3 * measured.total.mean, 10)))
        at_20 = measured.total.breadths[depth.THRESHOLDS.index(20)]
        text = f"Share of the bases with each depth. {at_20:.1f}% have a depth of 20 or more."
        found.append(charts.bars("depths", f"Depths of the {place}", text, ("depth", "bases"), points, unit="%"))
    return found


def bins(histogram: list[tuple[int, float]], highest: int) -> list[tuple[float, float]]:
    """Return a histogram of depths with at most MAX_DEPTH bars; the last one has all higher depths too."""
    step = max(1, -(-highest // MAX_DEPTH))
    last = min(highest, histogram[-1][0]) // step
    shares = [0.0] * (last + 1)
    for at, share in histogram:
        shares[min(at // step, last)] += share
    return [(place * step, round(share, 3)) for place, share in enumerate(shares)]


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
        chart = charts.line("inserts", "Insert size", text, ("bases", "pairs"), {"pairs": inserts}, filled=True)
        found.append(chart)
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


def contigs_of(measured: Depth | None) -> dict[str, Any]:
    """Return the contigs that are listed, and a sentence about the others."""
    if measured is None:
        return {"contigs": [], "contig_note": ""}
    contigs: list[tuple[str, Sum]] = list(measured.contigs.items())
    what = "Depth of the targets on each contig." if measured.targets else "Depth of each contig."
    if len(contigs) <= MAX_CONTIGS:
        return {"contigs": contigs, "contig_note": what}
    largest = {name for name, _ in sorted(contigs, key=lambda item: -item[1].bases)[:MAX_CONTIGS]}
    left = len(contigs) - MAX_CONTIGS
    note = f"{what} The {MAX_CONTIGS} largest of {len(contigs):,}; {left:,} are not listed."
    return {"contigs": [item for item in contigs if item[0] in largest], "contig_note": note}


def describe_sex(measured: Measured) -> str:
    """Return which sex chromosomes the reads show; "" for a genome without X and Y."""
    shares = depth.sexes(measured.depth) if measured.depth else {}
    if not shares:
        return ""
    x, y = shares["X"], shares["Y"]
    het, hom = (measured.calls.x["het"], measured.calls.x["hom"]) if measured.calls else (0, 0)
    text = f"Depth by that of the autosomes: X {x:.2f}, Y {y:.2f}."
    if het + hom:
        text += f" Of {het + hom:,} SNPs of X with PASS, {100 * het / (het + hom):.0f}% are heterozygous."
    return f"{sex_of(x, y)} {text}"


def sex_of(x: float, y: float) -> str:
    """Return the sex chromosomes that fit the depths of X and Y by the autosomes."""
    if x > 0.8 and y < 0.15:  # Y has repeats that reads of X align to
        return "As of two X and no Y (female)."
    if 0.35 < x < 0.65 and y > 0.25:  # much of Y is masked or repeats: less than half
        return "As of one X and one Y (male)."
    return "Unclear: neither as XX nor as XY. Check for another number of sex chromosomes, or a mixture of samples."


def describe_list(measured: Calls | None) -> str:
    """Return which variants the list has, and which not."""
    if measured is None:
        return ""
    if not measured.all:
        return "No variants were called."
    others = measured.all - measured.passed
    text = f"{measured.passed:,} alleles have PASS, {others:,} others do not."
    left = measured.all - len(measured.listed)
    if left:
        text += (f" The list has the first {MAX_VARIANTS:,} by PASS, impact and quality; {left:,} are left out: they "
                 "are in the VCF.")  # fmt: skip
    return text


def describe_reference(reference: S3Uri, summary: Mapping[str, Any]) -> str:
    """Return the name of the reference, its size and what it was prepared from."""
    contigs = summary.get("contigs", [])
    size = sum(contig.get("length", 0) for contig in contigs)
    text = reference.parent.name
    if contigs:
        text += f": {len(contigs):,} contig{'' if len(contigs) == 1 else 's'}, {size:,} bases"
    if summary.get("fingerprint"):
        text += f", fingerprint {summary['fingerprint']}"
    return text


def describe_step(receipt: Mapping[str, Any]) -> dict[str, str]:
    """Return the row of a step."""
    return {
        "step": receipt["step"],
        "tools": ", ".join(f"{tool} {version}" for tool, version in receipt.get("tools", {}).items()),
        "started": receipt.get("started", "").replace("T", " ").removesuffix("Z"),
        "seconds": f"{receipt.get('seconds', 0):,.0f}",
        "vcpus": f"{receipt.get('vcpus', 0)}",
        "memory": f"{receipt.get('peak_memory', 0):,} MiB",
        "commands": "\n".join(receipt.get("commands", [])),
    }


def hours(measured: Measured) -> str:
    """Return the sum of the times of all steps so far."""
    seconds = sum(receipt.get("seconds", 0) for receipt in measured.receipts)
    if seconds < 3600:  # an hour
        return f"{seconds / 60:.1f} minutes, without failed attempts and this report"
    return f"{seconds / 3600:.1f} hours, without failed attempts and this report"


def files(measured: Measured) -> list[tuple[str, str, str]]:
    """Return the name, the relative address and the size of every file beside the page."""
    outputs = [output for receipt in measured.receipts for output in receipt.get("outputs", [])]
    named = {S3Uri.parse(output["uri"]).name: output.get("size") for output in outputs}
    found = [(name, quote(name), show_size(size)) for name, size in sorted(named.items())]
    return [*found, (MANIFEST, MANIFEST, "")]


def show_size(size: Any) -> str:
    """Return a size in MB; "" if it is not known."""
    return f"{size / 1e6:,.2f} MB" if isinstance(size, int) else ""
