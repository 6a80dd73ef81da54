"""Write down the end of a run: its row, its manifest and its message. Pure: no AWS in here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seqdrop import __version__
from seqdrop.failure import advice
from seqdrop.plan import layout, steps
from seqdrop.plan.extras import KNOWN, PADDING
from seqdrop.plan.names import BAM, PAIRED, VERSION
from seqdrop.runs import outcome
from seqdrop.runs.outcome import QC_FAILED, RunEnding
from seqdrop.runs.receipts import Receipts, ResultsFolder, end_of
from seqdrop.storage.uri import S3Uri
from seqdrop.text import count_warnings, format_seconds, format_usd

# Of the receipts' counts, in the row and in the message. `variants` are those with PASS.
FIGURES = ("reads", "reads_mapped", "typical_depth", "variants", "variants_all")
LABELS = {"variants": "variants (PASS)", "variants_all": "variants (all)", "bam": "aligned reads"}  # in the message
MAX_WARNINGS = 20  # of a row, whose size DynamoDB limits; the manifest has all
HELD = ("vcf", "gvcf", "annotated_vcf")  # not published by a run that is held: outcome.is_held
NOT_OF_JOB = ("job_ids", "outputs", "run", "sources", "warnings", "qc")  # of a receipt: elsewhere in the manifest
FILES = ("annotated_vcf", "bam", "report", "manifest")  # named in the message


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is written when a run ends."""

    ending: RunEnding
    row: dict[str, Any]
    manifest: dict[str, Any] | None  # None: no results are published
    subject: str
    lines: list[str]

    @property
    def report(self) -> str:
        """The address of the report; "" if the run has none."""
        outputs = self.manifest["outputs"] if self.manifest else []
        return next((output["uri"] for output in outputs if output["name"] == "report"), "")


def record(
    plan: Mapping[str, Any], execution: str, reported: RunEnding, folder: ResultsFolder, cost: Mapping[str, Any]
) -> RunRecord:
    """Return the row, the manifest and the message of a run, from its plan and one read of its folder.

    `reported` is the ending that the state machine or its execution reports; the folder decides whether it is true.
    `cost` is that of its attempts (`cost.of_run`).
    """
    ending = outcome.verify(reported, plan, folder)
    warned = [f"{warning['step']}: {warning['message']}" for warning in warnings(folder.receipts)[:MAX_WARNINGS]]
    qc = verdict_of(folder.complete).get("qc", {}).get("result")
    row = {**ending.row(), **figures(folder.receipts), "cost": str(cost["usd"]), **({"qc": qc} if qc else {})}
    if warned:
        row["warnings"] = warned
    published = manifest(plan, execution, ending, folder, cost) if ending.publishes else None
    return RunRecord(ending, row, published, *message(plan, ending, folder, cost))


def warnings(receipts: Receipts) -> list[dict[str, str]]:
    """Return the warnings of all steps."""
    return [{"step": step, **warning} for step, receipt in receipts.items() for warning in receipt.get("warnings", [])]


def manifest(
    plan: Mapping[str, Any], execution: str, ending: RunEnding, folder: ResultsFolder, cost: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the manifest, which has everything that is needed to repeat the run.

    Nothing in it depends on the time of writing. Plans of earlier deployments lack some of the values.
    """
    receipts = folder.complete
    outputs = [output for receipt in receipts.values() for output in receipt["outputs"]]
    held = held_outputs(outputs) if outcome.is_held(plan, folder) else []
    return {
        "version": VERSION,
        "seqdrop": __version__,
        "run": plan["run"],
        "sample": plan["sample"],
        **{word: plan[word] for word in ("kind", "samples") if word in plan},  # of a joint run
        "execution": execution,
        "complete": ending.status == "SUCCEEDED",
        "missing": [step for step in steps.of_plan(plan) if step not in receipts],
        "supersedes": plan.get("supersedes", ""),
        "choices": choices(plan),
        "reference": plan["reference"],
        "fingerprint": plan.get("fingerprint", ""),
        "sources": plan.get("sources", {}),
        "contigs": folder.reference.get("contigs", []),
        "intervals": plan["intervals"],
        "intervals_name": plan.get("intervals_name", ""),
        "intervals_sha256": plan.get("intervals_sha256", ""),
        **{word: plan[word] for word in (PADDING, KNOWN) if word in plan},
        "reads": plan["reads"],
        "cost": cost,
        **verdict_of(receipts),
        "outputs": [output for output in outputs if output not in held],
        "warnings": warnings(receipts),
        "jobs": [_without(receipt, *NOT_OF_JOB) for receipt in receipts.values()],
    }


def verdict_of(receipts: Receipts) -> dict[str, Any]:
    """Return the verdict of the QC policy; nothing for runs of earlier versions."""
    qc = receipts.get("compose", {}).get("qc")
    return {"qc": qc} if qc else {}


def held_outputs(outputs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the outputs that are not in the manifest of a held run: VCFs, gVCF and what is beside them."""
    return [output for output in outputs if output["name"].split(".", 1)[0] in HELD]


def choices(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the FASTQs or the deployment chose for a run."""
    return {
        "reference": S3Uri.parse(plan["reference"]).parent.name,
        "intervals": "" if "panel" in plan else plan.get("intervals_name", ""),
        **({"panel": plan["panel"]} if "panel" in plan else {}),
        "lanes": plan["lanes"],
        "layout": plan.get("layout", PAIRED),
        "aligner": plan.get("aligner", ""),
        "caller": plan.get("caller", ""),
        "alignment_format": plan.get("alignment_format", BAM),
        "args": {step: words for step in steps.of_plan(plan) if (words := json.loads(plan[step].get("args", "[]")))},
    }


def figures_of_row(row: Mapping[str, Any]) -> dict[str, int]:
    """Return the figures in the row of a run."""
    return {name: int(row[name]) for name in FIGURES if name in row}


def figures(receipts: Receipts) -> dict[str, int]:
    """Return the counts that the run table shows."""
    counts = {name: value for receipt in receipts.values() for name, value in receipt["counts"].items()}
    return {name: counts[name] for name in FIGURES if name in counts}


def message(
    plan: Mapping[str, Any], ending: RunEnding, folder: ResultsFolder, cost: Mapping[str, Any]
) -> tuple[str, list[str]]:
    """Return the subject and the lines of the message. The subject names no sample.

    Of a failed run, the row is enough for `plan`. A resumed run that fails keeps the manifest of its earlier end.
    """
    run, explanation = plan["run"], advice.explain(ending.row()) if ending.failure_class else []
    if not ending.publishes:
        subject = f"seqdrop run {run}: {ending.status.lower().replace('_', ' ')}"
        earlier = folder.has(layout.manifest_uri(S3Uri.parse(plan["results"])))
        has = "no new results; the earlier ones remain" if earlier else "no results"
        first = f"Sample {plan['sample']} has {has}: {explanation[0]}"
        return subject, [
            first,
            *explanation[1:],
            *([_price(cost)] if cost.get("attempts") else []),
            "More: `seqdrop why RUN`",
        ]
    if ending.status == QC_FAILED:
        first, done = (
            f"Sample {plan['sample']} has failed its quality control: {explanation[0]}",
            "quality control failed",
        )
        explanation, head = [], [first, *explanation[1:]]
    else:
        done, head = "done", [f"Sample {plan['sample']} is done."]
    missing = [f"One step is missing ({ending.step}): {explanation[0]}", *explanation[1:]] if explanation else []
    tried = ["Tried:", *(f"  {line}" for line in ending.tried)] if ending.tried and not explanation else []
    warned = [f"Warning ({warning['step']}): {warning['message']}" for warning in warnings(folder.receipts)]
    judged = [_judgement(verdict_of(folder.complete)["qc"])] if verdict_of(folder.complete) else []
    hidden = HELD if outcome.is_held(plan, folder) else ()
    written = {"manifest", *(word for step in steps.STEPS if step.name in folder.complete for word in step.writes)}
    files = [f"{_label(word)}: {plan[word]}" for word in FILES if word in written and word in plan.keys() - hidden]
    numbers = _numbers(figures(folder.receipts))
    lines = [*head, *judged, *missing, *tried, *warned, *numbers, *_hours(folder.receipts), _price(cost), *files]
    return f"seqdrop run {run}: {done}{count_warnings(len(warned), ', ')}", lines


def _judgement(qc: Mapping[str, Any]) -> str:
    """Return the verdict of the QC policy, with its reasons."""
    reasons = f": {'; '.join(qc['reasons'])}" if qc.get("reasons") else ""
    return f"quality control: {qc['result']} ({qc['policy']}){reasons}"


def _numbers(counts: Mapping[str, int]) -> list[str]:
    """Return a line for each figure; mapped reads with their share, depth with its unit."""
    lines = {name: f"{_label(name)}: {value:,}" for name, value in counts.items()}
    if counts.get("reads") and "reads_mapped" in counts:
        lines["reads_mapped"] += f" ({counts['reads_mapped'] / counts['reads']:.1%})"
    if "typical_depth" in counts:
        lines["typical_depth"] += "x"
    return [*lines.values()]


def _hours(receipts: Receipts) -> list[str]:
    """Return the time from the start of the first job to the end of the last one; nothing for receipts without it."""
    timed = [one for one in receipts.values() if "started" in one]
    if not timed:
        return []
    begin, end = min(datetime.fromisoformat(one["started"]) for one in timed), max(map(end_of, timed))
    return [f"time from the first to the last job: {format_seconds((end - begin).total_seconds())}"]


def _label(word: str) -> str:
    return LABELS.get(word, word.replace("_", " "))


def _price(cost: Mapping[str, Any]) -> str:
    failed = cost["failed_attempts"]
    attempts = "failed attempt" if failed == 1 else "failed attempts"
    part = f", {format_usd(cost['usd_failed'])} of it for {failed} {attempts}" if failed else ""
    estimated = "estimated cost" if cost["estimated"] else "cost"
    return f"{estimated} of the jobs: {format_usd(cost['usd'])}{part}"


def _without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in names}
