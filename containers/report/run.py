"""Build the report: one page of the figures of all steps, judged by a QC policy, and the same as JSON."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from seqdrop.failure.verdict import BadInputError
from seqdrop.jobs import arguments
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import layout, steps
from seqdrop.plan.names import QC_DEFAULT, QC_POLICY, READS, REFERENCE_JSON, VERSION
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.report import depth, evidence, page, policy
from containers.report.policy import PolicyError, SexCheck, Verdict
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
    summary, inputs = args.results / REFERENCE_JSON, args.results / READS
    with step("compose", args, [*sources, *receipts, summary, inputs, layout.policy_uri(args.reference)]) as work:
        chosen = arguments.parse_options(args.args, "report")
        work.version("bcftools")
        work.version("samtools")
        for uri, name in sources.items():
            if uri in work.sources and not (work / name).exists():
                work.fetch(uri, name=name, etag=work.sources[uri])
        measured = measure(
            work, read_json(work, summary) or {}, [receipt for uri in receipts if (receipt := read_json(work, uri))],
            targets=bool(args.intervals),
        )  # fmt: skip
        of_sheet = (read_json(work, inputs) or {}).get("sheet", {}).get("sex")
        measured.sex = chosen.sex or (of_sheet if of_sheet in steps.SEXES else "")
        evidence.add_evidence(work, measured)
        verdict, reason = judge(work, measured, chosen)
        (work / "report.html").write_text(page.render(args, measured, verdict, reason))
        (work / "report.html.json").write_text(json.dumps(to_json(args.sample, verdict, measured), indent=1))
        work.publish(work / "report.html", "report", ".json")


def read_json(work: Workspace, uri: S3Uri) -> dict[str, Any] | None:
    """Return a JSON document of the run; None if it does not exist."""
    return s3.store().read_json(uri) if uri in work.sources else None


def judge(work: Workspace, measured: Measured, chosen: argparse.Namespace) -> tuple[Verdict, str]:
    """Return the verdict on a run, and why it has this policy; record it for the end of the run.

    A policy that somebody chose is enforced: the run ends as QC_FAILED if it fails. Without one, the policy of the
    assay that the run looks like is a help to the reader.
    """
    rules, name, reason, enforced = choose_policy(work, measured, chosen)
    verdict = policy.judge(rules, measured.figures, name, warned=bool(measured.warnings), chosen=enforced,
                           sex=check_sex(measured, asked=bool(chosen.sex)))  # fmt: skip
    work.qc = {
        "result": verdict.result,
        "policy": name,
        "reasons": verdict.reasons,
        "enforced": enforced,
        "hold": enforced and (chosen.hold or rules.get("publish") == "hold"),
    }
    if verdict.result == policy.FAIL and not enforced and not measured.warnings:
        work.warn("QC_FAIL", f"the figures are beyond the limits of {name}: {verdict.reasons[0]}")
    return verdict, reason


def check_sex(measured: Measured, *, asked: bool) -> SexCheck | None:
    """Return the check of the sex chromosomes; None without an expected sex.

    A sex that cannot be checked is a warning only if the run itself asked for the check (`--sex`): samplesheets name
    the sex of viruses' hosts and of small panels too.
    """
    shares = depth.sexes(measured.depth) if measured.depth else {}
    if not measured.sex or not (shares or asked):
        return None
    return SexCheck(measured.sex, (depth.karyotype(shares) or "unclear") if shares else "not known")


def choose_policy(
    work: Workspace, measured: Measured, chosen: argparse.Namespace
) -> tuple[Mapping[str, Any], str, str, bool]:
    """Return the policy, its name, why it is this one, and whether somebody chose it; raise BadInputError.

    A choice of the run is before the file beside the reference, and that before the parameter of the stack. `--hold`
    needs one of them: a policy that nobody chose holds nothing.
    """
    uri = layout.policy_uri(work.args.reference)
    if chosen.policy:
        return policy.default(chosen.policy), f"{chosen.policy} of seqdrop", "The run chose it.", True
    if uri in work.sources:
        text = work.fetch(uri, etag=work.sources[uri]).read_text(errors="replace")
        try:
            rules = policy.parse(text)
        except PolicyError as error:
            raise BadInputError("QC", f"{uri} is not a valid QC policy: {error}") from None
        checksum = hashlib.sha256(text.encode()).hexdigest()[:12]
        return rules, f"{QC_POLICY} of {uri.parent.name}, {checksum}", "It is beside the reference.", True
    if of_stack := measured.summary.get(QC_DEFAULT):
        return policy.default(of_stack), f"{of_stack} of seqdrop", "The stack chose it (QcPolicy).", True
    if chosen.hold:
        raise BadInputError(
            "QC",
            "--hold needs a QC policy to evaluate, and nobody chose one: not the run (--policy), not the reference "
            f"({uri}), not the stack (QcPolicy)",
        )
    assay, reason = guess_assay(measured.summary, targets=bool(work.args.intervals))
    return policy.default(assay), f"{assay} of seqdrop", f"{reason} It is not enforced: no policy was chosen.", False


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
        **({"sex": {"expected": verdict.sex.expected, "found": verdict.sex.found}} if verdict.sex else {}),
        "figures": {figure.name: figure.value for figure in measured.figures},
    }


if __name__ == "__main__":
    main()
