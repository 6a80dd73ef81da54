"""Say in words and rows what the report shows besides its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from seqdrop.plan.extras import PADDING
from seqdrop.plan.names import MANIFEST
from seqdrop.storage.uri import S3Uri

from containers.report import depth
from containers.report.calls import MAX_VARIANTS, Calls
from containers.report.depth import Depth, Sum
from containers.report.sources import Measured

MAX_CONTIGS = 50  # listed


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


SEX = {
    "XX": "As of two X and no Y (female).",
    "XY": "As of one X and one Y (male).",
    "": "Unclear: neither as XX nor as XY. Check for another number of sex chromosomes, or a mixture of samples.",
}


def sex(measured: Measured) -> str:
    """Return which sex chromosomes the reads show; "" if nobody expects any, and there are no X and Y to see."""
    shares = depth.sexes(measured.depth) if measured.depth else {}
    if not shares:
        unknown = f"{measured.sex} is expected, and was not checked: too few autosomes, or no X and Y, have a depth."
        return unknown if measured.sex else ""
    x, y = shares["X"], shares["Y"]
    het, hom = (measured.calls.x["het"], measured.calls.x["hom"]) if measured.calls else (0, 0)
    text = f"Depth by that of the autosomes: X {x:.2f}, Y {y:.2f}."
    if het + hom:
        text += f" Of {het + hom:,} SNPs of X with PASS, {100 * het / (het + hom):.0f}% are heterozygous."
    expected = f" {measured.sex} is expected." if measured.sex else ""
    return f"{SEX[depth.karyotype(shares)]}{expected} {text}"


def list_of(measured: Calls | None) -> str:
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


def regions(summary: Mapping[str, Any]) -> str:
    """Return where a run with targets was called and measured."""
    padding = summary.get(PADDING, 0)
    called = f"; variants were called in {padding:,} more bases on each side of them" if padding else ""
    return f"those of intervals.bed{called}"


def reference(reference: S3Uri, summary: Mapping[str, Any]) -> str:
    """Return the name of the reference, its size and what it was prepared from."""
    contigs = summary.get("contigs", [])
    size = sum(contig.get("length", 0) for contig in contigs)
    text = reference.parent.name
    if contigs:
        text += f": {len(contigs):,} contig{'' if len(contigs) == 1 else 's'}, {size:,} bases"
    if summary.get("fingerprint"):
        text += f", fingerprint {summary['fingerprint']}"
    return text


def step(receipt: Mapping[str, Any]) -> dict[str, str]:
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
    receipts = measured.receipts
    seconds = sum(receipt.get("seconds", 0) + receipt.get("seconds_of_parts", 0) for receipt in receipts)
    if seconds < 3600:  # an hour
        return f"{seconds / 60:.1f} minutes, without failed attempts and this report"
    return f"{seconds / 3600:.1f} hours, without failed attempts and this report"


def alignment(sample: str, measured: Measured) -> str:
    """Return the name of the file of aligned reads, which has the form that the step align wrote: BAM or CRAM."""
    outputs = [output for receipt in measured.receipts for output in receipt.get("outputs", [])]
    return next((S3Uri.parse(output["uri"]).name for output in outputs if output["name"] == "bam"), f"{sample}.bam")


def files(measured: Measured) -> list[tuple[str, str, str]]:
    """Return the name, the relative address and the size of every file beside the page."""
    outputs = [output for receipt in measured.receipts for output in receipt.get("outputs", [])]
    named = {S3Uri.parse(output["uri"]).name: output.get("size") for output in outputs}
    found = [(name, quote(name), show_size(size)) for name, size in sorted(named.items())]
    return [*found, (MANIFEST, MANIFEST, "")]


def show_size(size: Any) -> str:
    """Return a size in kB or MB; "" if it is not known."""
    if not isinstance(size, int):
        return ""
    return f"{size / 1e6:,.1f} MB" if size >= 1_000_000 else f"{size / 1e3:,.1f} kB"
