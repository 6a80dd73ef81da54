"""How the end of a run is said: in its manifest, its figures and its message. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqdrop.failure import advice
from seqdrop.plan import layout
from seqdrop.runs.outcome import Receipts, RunEnding


def warnings(receipts: Receipts) -> list[dict[str, str]]:
    """What jobs found worth saying though they went on."""
    return [{"step": step, **warning} for step, receipt in receipts.items() for warning in receipt.get("warnings", [])]


def manifest(
    plan: Mapping[str, Any],
    execution: str,
    ending: RunEnding,
    receipts: Receipts,
    cost: Mapping[str, Any],
) -> dict[str, Any]:
    """The table of contents of a run's results. Nothing in it depends on when it is written."""
    return {
        "run": plan["run"],
        "sample": plan["sample"],
        "execution": execution,
        "complete": ending.status == "SUCCEEDED",
        "missing": [step for step in layout.STEPS if step not in receipts],
        "reference": plan["reference"],
        "intervals": plan["intervals"],
        "reads": plan["reads"],
        "cost": cost,
        "outputs": [output for receipt in receipts.values() for output in receipt["outputs"]],
        "warnings": warnings(receipts),
        "jobs": [_but(receipt, "outputs", "run", "sources", "warnings") for receipt in receipts.values()],
    }


def cost(receipts: Receipts, price_per_vcpu_hour: float, price_per_gib_hour: float) -> dict[str, Any]:
    """What the jobs cost at the prices assumed: an estimate. Failed attempts, storage and transfer are not in it."""
    hours = {step: receipt["seconds"] / 3600 for step, receipt in receipts.items()}
    vcpu_hours = sum(hours[step] * receipt["vcpus"] for step, receipt in receipts.items())
    gib_hours = sum(hours[step] * receipt["memory"] / 1024 for step, receipt in receipts.items())
    usd = vcpu_hours * price_per_vcpu_hour + gib_hours * price_per_gib_hour
    assumed = {"usd_per_vcpu_hour": price_per_vcpu_hour, "usd_per_gib_hour": price_per_gib_hour}
    return {
        "usd": round(usd, 4),
        "vcpu_hours": round(vcpu_hours, 4),
        "gib_hours": round(gib_hours, 4),
        "assumed": assumed,
    }


def figures(receipts: Receipts) -> dict[str, int]:
    """What the run table shows of a run at a glance."""
    counts = {name: value for receipt in receipts.values() for name, value in receipt["counts"].items()}
    return {name: counts[name] for name in ("reads", "reads_mapped", "variants") if name in counts}


def message(
    plan: Mapping[str, Any], ending: RunEnding, receipts: Receipts, cost: Mapping[str, Any], *, earlier: bool = False
) -> tuple[str, list[str]]:
    """Subject and lines of the message at the end; the subject names no sample. Of a failed run, its row will do.

    `earlier`: a manifest is there from when the run ended before.
    """
    run, said = plan["run"], advice.explain(ending.row()) if ending.failure_class else []
    if not ending.publishes:
        subject = f"seqdrop run {run}: {ending.status.lower().replace('_', ' ')}"
        has = "nothing new; the results of before stay" if earlier else "no results"
        return subject, [f"Sample {plan['sample']} has {has}: {said[0]}", *said[1:], f"More: seqdrop why {run}"]
    missing = [f"One step is missing ({ending.step}): {said[0]}", *said[1:]] if said else []
    tried = ["Tried:", *(f"  {line}" for line in ending.tried)] if ending.tried and not said else []
    warned = [f"Warning ({warning['step']}): {warning['message']}" for warning in warnings(receipts)]
    numbers = [f"{name.replace('_', ' ')}: {value:,}" for name, value in figures(receipts).items()]
    where = [f"{word.replace('_', ' ')}: {plan[word]}" for word in ("annotated_vcf", "bam", "report", "manifest")]
    price = f"estimated cost of the jobs: {cost['usd']:.2f} USD"
    lines = [f"Sample {plan['sample']} is done.", *missing, *tried, *warned, *numbers, price, *where]
    return f"seqdrop run {run}: done", lines


def _but(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in names}
