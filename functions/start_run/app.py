"""A FASTQ arrived: when its mates are all there, start one run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import S3Event, S3EventBridgeNotificationEvent
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop import layout, mates, runs, s3
from seqdrop.layout import ChoiceError, Choices, Fastq
from seqdrop.log import logger
from seqdrop.mates import Pair
from seqdrop.reference import UnpreparedError, check_reference
from seqdrop.uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

metrics = Metrics()
UNVERSIONED = "the bucket keeps no versions: turn versioning on, so that a run can pin its reads"


class NotReadyError(Exception):
    """The stack is deployed, but nobody has pushed the tools' images yet."""


REFUSALS = {ChoiceError: "BAD_INPUT.CHOICES", UnpreparedError: "REFERENCE", NotReadyError: "NOT_READY"}


@cache
def step_functions() -> SFNClient:
    return boto3.client("stepfunctions", config=s3.RETRIES)


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    return {"outcomes": [arrived(*arrival) for arrival in arrivals(event)]}


def arrivals(event: dict[str, Any]) -> Iterator[tuple[S3Uri, str]]:
    """What arrived and its version: from EventBridge (keys as they are) or from S3 itself (keys URL-encoded)."""
    if "Records" in event:
        for record in S3Event(event).records:
            uri = S3Uri(record.s3.bucket.name, unquote_plus(record.s3.get_object.key))
            yield uri, record.s3.get_object.version_id or ""
    else:
        detail = S3EventBridgeNotificationEvent(event).detail
        # the data class decodes the key, which is told as it is, and has no word for no version
        yield S3Uri(detail.bucket.name, detail.object["key"]), detail.object.get("version-id") or ""


def arrived(uri: S3Uri, version_id: str) -> dict[str, str]:
    name = layout.parse_fastq_key(uri.key)
    if name is None:
        return outcome("ignored", reason="not a FASTQ of a pair: names end in _R1 or _R2 and .fastq.gz")
    if not version_id:
        return outcome("refused", reason=UNVERSIONED)
    found = mates.find(uri.bucket, name) or waited(uri.bucket, name)
    if found is None:
        return outcome("waiting", reason="the mate is not there yet")
    return begin(name.sample, found)


def waited(bucket: str, name: Fastq) -> list[mates.Found] | None:
    """A lone mate is normal; it gets a row, so that one that waits too long is seen. Then a last look."""
    runs.remember_waiting(bucket, name.mates, name.sample)
    return mates.find(bucket, name)  # the mate may have come in between, and its event found no row to forget


def begin(sample: str, found: Sequence[mates.Found]) -> dict[str, str]:
    """Start the run of these pairs; what cannot be started is refused by name."""
    pairs, choices, genome = [pair for pair, _ in found], Choices(), ""
    try:
        choices = mates.agreed(found)
        choices = replace(choices, reference=choices.reference or os.environ["DEFAULT_REFERENCE"])
        check_images()
        genome = check_reference(os.environ["REFERENCE_BUCKET"], choices, os.environ["ALIGNER"])
    except (ChoiceError, UnpreparedError, NotReadyError) as error:
        return refuse(sample, name_of(sample, pairs, choices, genome), choices, error)
    return start(sample, mates.with_read_groups(sample, pairs), choices, genome)


def check_images() -> None:
    """Raises NotReadyError."""
    if os.environ["IMAGE_TAG"] == "none":
        command = f"make push STACK={os.environ['STACK']}"
        raise NotReadyError(f"the images of the tools are not there yet: run `{command}` and `sam deploy`")


def start(sample: str, pairs: list[Pair], choices: Choices, genome: str) -> dict[str, str]:
    plan = planned(sample, pairs, choices, genome)
    run = plan["run"]
    logger.append_keys(run=run)
    row = runs.get(run)
    if row and "execution" in row and row["status"] != runs.RUNNING:  # execution names are free again after 90 days
        return outcome("duplicate", run=run)
    s3.write_json(S3Uri.parse(plan["reads"]), {"sample": sample, "lanes": pairs})
    execution, is_new = start_execution(run, plan)
    runs.begin({**described(sample, run, choices), "execution": execution, "results": plan["results"]})
    return outcome("started" if is_new else "duplicate", run=run)


def planned(sample: str, pairs: Sequence[Pair], choices: Choices, genome: str) -> dict[str, Any]:
    run = name_of(sample, pairs, choices, genome)
    buckets = {"results_bucket": os.environ["RESULTS_BUCKET"], "reference_bucket": os.environ["REFERENCE_BUCKET"]}
    return layout.plan(sample, run, choices, **buckets, jobs=jobs(choices))


def jobs(choices: Choices) -> dict[str, dict[str, str]]:
    """Queue and size of each step: what this deployment has, and how soon the run is wanted."""
    queue = os.environ[f"{choices.priority.upper()}_QUEUE"]
    sizes: dict[str, dict[str, str]] = json.loads(os.environ["SIZES"])
    return {step: {"job_queue": queue, **size} for step, size in sizes.items()}


def name_of(sample: str, pairs: Sequence[Pair], choices: Choices, genome: str) -> str:
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    return layout.run_id(sample, pairs, choices, genome=genome, **tools)


def start_execution(run: str, plan: dict[str, Any]) -> tuple[str, bool]:
    """The execution's ARN, and False if it was there and is over; one that still runs answers as if it were new."""
    machine = os.environ["STATE_MACHINE"]
    client = step_functions()
    try:
        started = client.start_execution(stateMachineArn=machine, name=run, input=layout.canonical(plan))
    except client.exceptions.ExecutionAlreadyExists:
        execution = ":".join(machine.split(":")[:7]).replace(":stateMachine:", ":execution:")  # without the alias
        return f"{execution}:{run}", False
    return started["executionArn"], True


def refuse(sample: str, run: str, choices: Choices, error: Exception) -> dict[str, str]:
    """What cannot be started gets a row that says so, and a message: the person who dropped it sees no log."""
    if runs.refuse(described(sample, run, choices), REFUSALS[type(error)], str(error)):
        runs.tell(f"seqdrop run {run}: not started", [f"Sample {sample} was not started: {error}."])
    return outcome("refused", run=run, reason=str(error))


def described(sample: str, run: str, choices: Choices) -> dict[str, str]:
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    return {"run": run, "sample": sample, "reference": choices.reference, **tools}


def outcome(word: str, **fields: str) -> dict[str, str]:
    metrics.add_metric(name=f"Fastq{word.capitalize()}", unit=MetricUnit.Count, value=1)
    logger.info(f"FASTQ {word}", extra=fields)
    return {"outcome": word, **fields}
