"""Build the report: one page of the figures of all steps, judged by a QC policy, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seqdrop.jobs import arguments
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import layout, steps
from seqdrop.plan.names import REFERENCE_JSON, VERSION
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.report import page, policy
from containers.report.policy import Verdict
from containers.report.sources import CALLS, MOSDEPTH, STATS, Measured, measure

# The inputs: planned outputs and their companions, and the names that they get in the directory of the job. Of two
# with one name, the first that exists.
SOURCES = (
    *(("stats", suffix, f"{STATS}{suffix}") for suffix in ("", ".idxstats", *MOSDEPTH)),
    ("vcf", ".stats", "calls.stats"),
    ("vcf", ".all.stats", "calls.all.stats"),
    ("annotated_vcf", "", CALLS),
    ("vcf", "", CALLS),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Build the report of a run."""
    args = arguments.parse(argv, __doc__, "sample", "reference", "intervals", "stats", "vcf", "annotated_vcf", "report")
    sources = {getattr(args, output).companion(suffix): name for output, suffix, name in SOURCES}
    receipts = {layout.receipt_uri(args.results, name): name for name in steps.names() if name != "compose"}
    summary = args.results / REFERENCE_JSON
    with step("compose", args, optional=[*sources, *receipts, summary]) as work:
        arguments.parse_options(args.args, "report")
        work.version("bcftools")
        for uri, name in sources.items():
            if uri in work.sources and not (work / name).exists():
                work.fetch(uri, name=name, etag=work.sources[uri])
        measured = measure(
            work, read_json(work, summary) or {}, [receipt for uri in receipts if (receipt := read_json(work, uri))],
            targets=bool(args.intervals),
        )  # fmt: skip
        verdict, reason = judge(measured, targets=bool(args.intervals))
        (work / "report.html").write_text(page.render(args, measured, verdict, reason))
        (work / "report.html.json").write_text(json.dumps(to_json(args.sample, verdict, measured), indent=1))
        work.publish(work / "report.html", "report", ".json")


def read_json(work: Workspace, uri: S3Uri) -> dict[str, Any] | None:
    """Return a JSON document of the run; None if it does not exist."""
    return s3.store().read_json(uri) if uri in work.sources else None


def judge(measured: Measured, *, targets: bool) -> tuple[Verdict, str]:
    """Return the verdict on a run by the policy of its assay, and why it is this policy."""
    assay, reason = guess_assay(measured.summary, targets=targets)
    verdict = policy.judge(
        policy.default(assay), measured.figures, f"{assay} of seqdrop", warned=bool(measured.warnings)
    )
    return verdict, reason


def guess_assay(summary: Mapping[str, Any], *, targets: bool) -> tuple[str, str]:
    """Return the assay that a run looks like, and why."""
    if summary.get("ploidy") == 1:
        return "virus", "The reference has one copy of each contig."
    if targets:
        return "exome", "The run has a BED file of targets."
    return "genome", "The run has no BED file of targets."


def to_json(sample: str, verdict: Verdict, measured: Measured) -> dict[str, Any]:
    """Return the verdict and the figures for programs."""
    return {
        "version": VERSION,
        "sample": sample,
        "verdict": verdict.result,
        "policy": verdict.policy,
        "reasons": verdict.reasons,
        "warnings": measured.warnings,
        "figures": {figure.name: figure.value for figure in measured.figures},
    }


if __name__ == "__main__":
    main()
