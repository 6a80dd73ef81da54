"""Start the run of complete pairs, or record why it cannot start."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqdrop.failure import advice
from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import bed, layout
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.runs import executions, notify, pairing, table
from seqdrop.runs.executions import NotResumableError
from seqdrop.runs.pairing import Pair, Pairing
from seqdrop.runs.reference import IntervalsError, UnpreparedError, check_reference, read_intervals
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

Entry = dict[str, Any]  # of reads.json
Result = dict[str, str]  # `outcome` is one word; then the run and the reason


class NotReadyError(Exception):
    """The stack is deployed without the images of its tools."""


REFUSALS = {
    ChoiceError: "BAD_INPUT.CHOICES",
    IntervalsError: "BAD_INPUT.INTERVALS",
    UnpreparedError: "REFERENCE",
    NotReadyError: "NOT_READY",
}


def submit(sample: str, pairs: Sequence[Pair]) -> Result:
    """Start the run of these pairs, once; a refused run gets a row and a message."""
    entries, choices, genome, regions = [pair.entry() for pair in pairs], Choices(), "", b""
    try:
        choices = pairing.common_choices(pairs)
        choices = replace(choices, reference=choices.reference or os.environ["DEFAULT_REFERENCE"])
        check_images()
        summary = check_reference(os.environ["REFERENCE_BUCKET"], choices, os.environ["ALIGNER"])
        genome = summary["fingerprint"]
        regions = read_intervals(s3.store(), os.environ["REFERENCE_BUCKET"], choices, summary)
        run = run_id(sample, entries, choices, genome, regions)
        if has_ended(run):
            return {"outcome": "duplicate", "run": run}
        return start(run, sample, pairing.checked_entries(sample, entries), choices, genome, regions)
    except (ChoiceError, UnpreparedError, IntervalsError, NotReadyError, BadInputError) as error:
        return refuse(sample, run_id(sample, entries, choices, genome, regions), choices, error)


def has_ended(run: str) -> bool:
    """Return whether the first execution of a run has ended.

    The row says it: the name of an execution is free again after 90 days, the row stays.
    """
    row = table.get(run) or {}
    return "execution" in row and (row["status"] != table.RUNNING or row["execution"] != executions.arn(run))


def check_images() -> None:
    """Raise NotReadyError if a tool of this deployment has no image."""
    missing = [tool for tool, tag in image_tags().items() if tag == "none"]
    if missing:
        command = f"make push STACK={os.environ['STACK']}"
        raise NotReadyError(f"the stack has no image of {', '.join(missing)} yet: run `{command}` and `sam deploy`")


def image_tags() -> dict[str, str]:
    """Return the image tag of every tool that this deployment uses."""
    selected = {"align": os.environ["ALIGNER"], "call": os.environ["CALLER"]}
    tags: dict[str, dict[str, str]] = json.loads(os.environ["IMAGE_TAGS"])
    return {
        tool: tag for step, tools in tags.items() for tool, tag in tools.items() if selected.get(step, tool) == tool
    }


def start(run: str, sample: str, entries: Sequence[Entry], choices: Choices, genome: str, regions: bytes) -> Result:
    """Write the inputs, start the execution, write the row: in this order, so that each step can be repeated."""
    buckets = {"results_bucket": os.environ["RESULTS_BUCKET"], "reference_bucket": os.environ["REFERENCE_BUCKET"]}
    pins = {"genome": genome, "regions": bed.checksum(regions) if regions else ""}
    plan = layout.plan(sample, run, choices, **buckets, **pins, jobs=job_settings(choices))
    if regions:  # a copy, since the BED beside the reference can be replaced
        s3.store().write(S3Uri.parse(plan["intervals"]), regions)
    s3.store().write_json(S3Uri.parse(plan["reads"]), {"sample": sample, "lanes": list(entries)})
    execution = executions.arn(run)
    is_new = executions.start(execution, plan)
    table.create({**row_of(sample, run, choices), "execution": execution, "results": plan["results"]})
    return {"outcome": "started" if is_new else "duplicate", "run": run}


def resume(run: str) -> Result:
    """Start an ended run again; steps that have a receipt end at once."""
    try:
        check_images()
        execution = executions.resume(run, job_sizes())
    except (NotResumableError, NotReadyError) as error:
        return {"outcome": "refused", "run": run, "reason": str(error)}
    return {"outcome": "resumed", "run": run, "execution": execution}


def update_waiting(bucket: str, sample: str, found: Pairing) -> None:
    """Write the row of files that wait for others, and delete the rows of those that are complete."""
    for names in found.complete:
        table.delete_waiting(bucket, names)
    if found.missing:
        table.create_waiting(bucket, found.missing.names, sample, found.missing.message)


def job_settings(choices: Choices) -> dict[str, dict[str, str]]:
    """Return the queue and size of each step."""
    queue = os.environ[f"{choices.priority.upper()}_QUEUE"]
    return {step: {"job_queue": queue, **size} for step, size in job_sizes().items()}


def job_sizes() -> Mapping[str, Mapping[str, str]]:
    """Return vcpus and memory (MiB) of each step in this deployment."""
    sizes: dict[str, dict[str, str]] = json.loads(os.environ["SIZES"])
    return sizes


def run_id(sample: str, entries: Sequence[Entry], choices: Choices, genome: str, regions: bytes) -> str:
    """Return the id of a run with the tools of this deployment."""
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    checksum = bed.checksum(regions) if regions else ""
    return layout.run_id(sample, entries, choices, genome=genome, regions=checksum, **tools)


def refuse(sample: str, run: str, choices: Choices, error: Exception) -> Result:
    """Write a row and send a message about a run that cannot start: its owner does not read logs."""
    failure_class = error.failure_class if isinstance(error, BadInputError) else REFUSALS[type(error)]
    if table.create_refused(row_of(sample, run, choices), failure_class, str(error)):
        lines = [f"Sample {sample} was not started: {error}.", f"Class: {failure_class}", advice.get(failure_class)]
        notify.send(run, f"seqdrop run {run}: not started", [*lines, f"More: seqdrop why {run}"])
    return {"outcome": "refused", "run": run, "failure_class": failure_class, "reason": str(error)}


def row_of(sample: str, run: str, choices: Choices) -> dict[str, str]:
    """Return the attributes that every row of a run has."""
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    return {"run": run, "sample": sample, "reference": choices.reference, **tools}
