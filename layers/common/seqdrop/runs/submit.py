"""Whether the pairs that arrived become a run: what it is called, what it is given, and why it cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace

from seqdrop.failure import advice
from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import layout
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.runs import executions, pairing, table
from seqdrop.runs.executions import NotResumableError
from seqdrop.runs.pairing import Pair
from seqdrop.runs.reference import UnpreparedError, check_reference
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

Outcome = dict[str, str]  # `outcome` is one word; then the run, and why


class NotReadyError(Exception):
    """The stack is deployed, but nobody has pushed the tools' images yet."""


REFUSALS = {ChoiceError: "BAD_INPUT.CHOICES", UnpreparedError: "REFERENCE", NotReadyError: "NOT_READY"}


def begin(sample: str, found: Sequence[pairing.Found]) -> Outcome:
    """Start the run of these pairs; what cannot be started is refused by name."""
    pairs, choices, genome = [pair for pair, _ in found], Choices(), ""
    try:
        choices = pairing.agreed(found)
        choices = replace(choices, reference=choices.reference or os.environ["DEFAULT_REFERENCE"])
        check_images()
        genome = check_reference(os.environ["REFERENCE_BUCKET"], choices, os.environ["ALIGNER"])
        run = name_of(sample, pairs, choices, genome)
        if is_over(run):
            return {"outcome": "duplicate", "run": run}
        return start(run, sample, pairing.looked_at(sample, pairs), choices)
    except (ChoiceError, UnpreparedError, NotReadyError, BadInputError) as error:
        return refuse(sample, name_of(sample, pairs, choices, genome), choices, error)


def is_over(run: str) -> bool:
    """Whether its first execution ended; the name of an execution is free again after 90 days, the row stays."""
    row = table.get(run) or {}
    return "execution" in row and (row["status"] != table.RUNNING or row["execution"] != executions.arn(run))


def check_images() -> None:
    """Raises NotReadyError."""
    if os.environ["IMAGE_TAG"] == "none":
        command = f"make push STACK={os.environ['STACK']}"
        raise NotReadyError(f"the images of the tools are not there yet: run `{command}` and `sam deploy`")


def start(run: str, sample: str, pairs: list[Pair], choices: Choices) -> Outcome:
    buckets = {"results_bucket": os.environ["RESULTS_BUCKET"], "reference_bucket": os.environ["REFERENCE_BUCKET"]}
    plan = layout.plan(sample, run, choices, **buckets, jobs=jobs(choices))
    s3.store().write_json(S3Uri.parse(plan["reads"]), {"sample": sample, "lanes": pairs})
    execution = executions.arn(run)
    is_new = executions.start(execution, plan)
    table.begin({**described(sample, run, choices), "execution": execution, "results": plan["results"]})
    return {"outcome": "started" if is_new else "duplicate", "run": run}


def resume(run: str) -> Outcome:
    """Let a run that ended go on: its jobs that are done end at once."""
    try:
        check_images()
        execution = executions.resume(run, sizes())
    except (NotResumableError, NotReadyError) as error:
        return {"outcome": "refused", "run": run, "reason": str(error)}
    return {"outcome": "resumed", "run": run, "execution": execution}


def jobs(choices: Choices) -> dict[str, dict[str, str]]:
    """Queue and size of each step: what this deployment has, and how soon the run is wanted."""
    queue = os.environ[f"{choices.priority.upper()}_QUEUE"]
    return {step: {"job_queue": queue, **size} for step, size in sizes().items()}


def sizes() -> dict[str, dict[str, str]]:
    given: dict[str, dict[str, str]] = json.loads(os.environ["SIZES"])
    return given


def name_of(sample: str, pairs: Sequence[Pair], choices: Choices, genome: str) -> str:
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    return layout.run_id(sample, pairs, choices, genome=genome, **tools)


def refuse(sample: str, run: str, choices: Choices, error: Exception) -> Outcome:
    """What cannot be started gets a row that says so, and a message: the person who dropped it sees no log."""
    failure_class = error.failure_class if isinstance(error, BadInputError) else REFUSALS[type(error)]
    if table.refuse(described(sample, run, choices), failure_class, str(error)):
        lines = [f"Sample {sample} was not started: {error}.", f"Class: {failure_class}", advice.get(failure_class)]
        table.tell(run, f"seqdrop run {run}: not started", [*lines, f"More: seqdrop why {run}"])
    return {"outcome": "refused", "run": run, "failure_class": failure_class, "reason": str(error)}


def described(sample: str, run: str, choices: Choices) -> dict[str, str]:
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    return {"run": run, "sample": sample, "reference": choices.reference, **tools}
