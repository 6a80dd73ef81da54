"""How a run ended, as its row, its manifest and its message say it. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqdrop import layout
from seqdrop.failure import ADVICE, advice

# Without one of these there are no variants to come back for, and so no manifest.
ESSENTIAL = ("align", "call", "annotate")


@dataclass(frozen=True, slots=True)
class Ending:
    status: str  # SUCCEEDED INCOMPLETE FAILED ABORTED TIMED_OUT
    failure_class: str = ""
    message: str = ""
    step: str = ""

    @property
    def publishes(self) -> bool:
        """Whether readers may have the results: all of them, or all that matter."""
        return self.status in {"SUCCEEDED", "INCOMPLETE"}

    def row(self) -> dict[str, Any]:
        if self.status == "SUCCEEDED":
            return {"status": self.status}
        said = {"class": self.failure_class, "message": self.message, "advice": advice(self.failure_class)}
        return {"status": self.status, "step": self.step, **said}


def outcome(plan: Mapping[str, Any]) -> Ending:
    """The ending of a run that came to the machine's last state."""
    jobs = {**{step: plan[step] for step in layout.STEPS}, **plan.get("analysis", {})}
    endings = {step: _given_up(job) for step, job in jobs.items()}
    if "undiagnosed" in plan and not any(endings.values()):
        return Ending("FAILED", "INTERNAL", "The machine failed between two jobs; see its history.")
    for step in layout.STEPS:
        given_up = endings[step]
        if given_up:
            status = "FAILED" if step in ESSENTIAL else "INCOMPLETE"
            return Ending(status, given_up["class"], given_up["message"], step)
    return Ending("SUCCEEDED")


def _given_up(job: Mapping[str, Any]) -> Mapping[str, str] | None:
    if "error" in job:  # the doctor himself failed
        return {"class": "INTERNAL", "message": "The job failed, and the function diagnose did too; see its log."}
    given_up: Mapping[str, str] | None = job.get("gave_up")
    return given_up


def closed(status: str, error: str, cause: str) -> Ending:
    """The ending of a run that no state of the machine saw."""
    if status == "ABORTED":
        return Ending("ABORTED", "STOPPED", f"The run was stopped{': ' + cause if cause else ''}.")
    if status == "TIMED_OUT":
        return Ending("TIMED_OUT", "TIMEOUT", "The run took longer than the state machine allows.")
    if status == "SUCCEEDED":
        return Ending("SUCCEEDED")
    if error == "NOT_RECORDED":  # the machine's own word for it: what its jobs left says how it ended
        return Ending("FAILED", "NOT_RECORDED", cause)
    known = error.split(".", maxsplit=1)[0] in ADVICE
    return Ending("FAILED", error if known else "INTERNAL", cause or "The state machine failed; see its history.")


def found(receipts: Mapping[str, Mapping[str, Any]]) -> Ending:
    """The ending of a run that could not be recorded when it ended, by what its jobs left."""
    for step in layout.STEPS:
        if step not in receipts:
            status = "FAILED" if step in ESSENTIAL else "INCOMPLETE"
            return Ending(
                status, "INTERNAL", "The run could not be recorded when it ended; this step left no receipt.", step
            )
    return Ending("SUCCEEDED")


def manifest(
    plan: Mapping[str, Any],
    execution: str,
    ending: Ending,
    receipts: Mapping[str, Mapping[str, Any]],
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
        "jobs": [_without(receipt, "outputs", "run") for receipt in receipts.values()],
    }


def cost(
    receipts: Mapping[str, Mapping[str, Any]], price_per_vcpu_hour: float, price_per_gib_hour: float
) -> dict[str, Any]:
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


def figures(receipts: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """What the run table shows of a run at a glance."""
    counts = {name: value for receipt in receipts.values() for name, value in receipt["counts"].items()}
    return {name: counts[name] for name in ("reads", "reads_mapped", "variants") if name in counts}


def message(
    plan: Mapping[str, Any], ending: Ending, receipts: Mapping[str, Mapping[str, Any]], cost: Mapping[str, Any]
) -> tuple[str, list[str]]:
    """Subject and lines of the message at the end; the subject names no sample."""
    sample, run = plan["sample"], plan["run"]
    if not ending.publishes:
        failed = [f"Sample {sample} has no results: {ending.message}", f"Class: {ending.failure_class}"]
        at = [f"Step: {ending.step}"] if ending.step else []
        more = [advice(ending.failure_class), f"More: seqdrop why {run}"]
        return f"seqdrop run {run}: {ending.status.lower().replace('_', ' ')}", [*failed, *at, *more]
    numbers = [f"{name.replace('_', ' ')}: {value:,}" for name, value in figures(receipts).items()]
    where = [f"{word.replace('_', ' ')}: {plan[word]}" for word in ("annotated_vcf", "bam", "report", "manifest")]
    missing = [f"One step is missing ({ending.step}): {ending.message}"] if ending.status == "INCOMPLETE" else []
    price = f"estimated cost of the jobs: {cost['usd']:.2f} USD"
    return f"seqdrop run {run}: done", [f"Sample {sample} is done.", *missing, *numbers, price, *where]


def _without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in names}
