"""A FASTQ arrived: when its mates are all there, start one run. Or a run that ended is to go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import S3EventBridgeNotificationEvent
from aws_lambda_powertools.utilities.data_classes.s3_event import S3EventRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop import executions, failure, layout, mates, runs, s3
from seqdrop.executions import NotResumableError
from seqdrop.failure import BadInputError
from seqdrop.layout import ChoiceError, Choices, Fastq
from seqdrop.log import log_failure, logger
from seqdrop.mates import Pair
from seqdrop.reference import UnpreparedError, check_reference
from seqdrop.uri import S3Uri

metrics = Metrics()
ELSEWHERE = "it lies in another bucket than the one for FASTQs"
NO_FASTQ = "not a FASTQ of a pair: names end in _R1 or _R2 and .fastq.gz"
UNVERSIONED = "the bucket keeps no versions: turn versioning on, so that a run can pin its reads"
ALONE = "the mate is not there yet"
Outcome = dict[str, str]


class NotHandledError(Exception):
    """Lambda prints it and sends the event again. It names no key and no sample."""


class NotReadyError(Exception):
    """The stack is deployed, but nobody has pushed the tools' images yet."""


REFUSALS = {ChoiceError: "BAD_INPUT.CHOICES", UnpreparedError: "REFERENCE", NotReadyError: "NOT_READY"}


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """From EventBridge or S3 itself, or from `seqdrop resume`, which asks with `{"resume": RUN}`."""
    if "resume" in event:
        outcomes = [handled(resume, event)]
    else:
        outcomes = [handled(arrived, told) for told in event.get("Records") or [event]]
    if None in outcomes:
        raise NotHandledError(f"{outcomes.count(None)} of {len(outcomes)} could not be handled; the log says where")
    return {"outcomes": outcomes}


def handled(do: Callable[[dict[str, Any]], Outcome], told: dict[str, Any]) -> Outcome | None:
    """None for what failed: a bad record does not stop those behind it."""
    try:
        return do(told)
    except Exception as error:  # noqa: BLE001  the rim: it is raised again in words of our own
        log_failure("not handled", error)
        count("EventNotHandled")
        return None


def arrived(told: dict[str, Any]) -> Outcome:
    uri, version_id = arrival(told)
    if uri.bucket != os.environ["FASTQ_BUCKET"]:
        return outcome("ignored", reason=ELSEWHERE)
    name = layout.parse_fastq_key(uri.key)
    if name is None:
        return outcome("ignored", reason=NO_FASTQ)
    if not version_id:
        return outcome("refused", reason=UNVERSIONED)
    found = mates.find(uri.bucket, name) or waited(uri.bucket, name)
    return begin(name.sample, found) if found else outcome("waiting", reason=ALONE)


def arrival(told: dict[str, Any]) -> tuple[S3Uri, str]:
    """What arrived and its version: from EventBridge (keys as they are) or from S3 itself (keys URL-encoded)."""
    if "s3" in told:
        record = S3EventRecord(told).s3
        return S3Uri(record.bucket.name, unquote_plus(record.get_object.key)), record.get_object.version_id or ""
    detail = S3EventBridgeNotificationEvent(told).detail
    # the data class decodes the key, which is told as it is, and has no word for no version
    return S3Uri(detail.bucket.name, detail.object["key"]), detail.object.get("version-id") or ""


def waited(bucket: str, name: Fastq) -> list[mates.Found] | None:
    """A lone mate is normal; it gets a row, so that one that waits too long is seen. Then a last look."""
    runs.remember_waiting(bucket, name.mates, name.sample)
    return mates.find(bucket, name)  # the mate may have come in between, and its event found no row to forget


def begin(sample: str, found: Sequence[mates.Found]) -> Outcome:
    """Start the run of these pairs; what cannot be started is refused by name."""
    pairs, choices, genome = [pair for pair, _ in found], Choices(), ""
    try:
        choices = mates.agreed(found)
        choices = replace(choices, reference=choices.reference or os.environ["DEFAULT_REFERENCE"])
        check_images()
        genome = check_reference(os.environ["REFERENCE_BUCKET"], choices, os.environ["ALIGNER"])
        run = name_of(sample, pairs, choices, genome)
        if is_over(run):
            return outcome("duplicate", run=run)
        return start(run, sample, mates.looked_at(sample, pairs), choices)
    except (ChoiceError, UnpreparedError, NotReadyError, BadInputError) as error:
        return refuse(sample, name_of(sample, pairs, choices, genome), choices, error)


def is_over(run: str) -> bool:
    """Whether its first execution ended; the name of an execution is free again after 90 days, the row stays."""
    row = runs.get(run) or {}
    return "execution" in row and (row["status"] != runs.RUNNING or row["execution"] != executions.arn(run))


def check_images() -> None:
    """Raises NotReadyError."""
    if os.environ["IMAGE_TAG"] == "none":
        command = f"make push STACK={os.environ['STACK']}"
        raise NotReadyError(f"the images of the tools are not there yet: run `{command}` and `sam deploy`")


def start(run: str, sample: str, pairs: list[Pair], choices: Choices) -> Outcome:
    buckets = {"results_bucket": os.environ["RESULTS_BUCKET"], "reference_bucket": os.environ["REFERENCE_BUCKET"]}
    plan = layout.plan(sample, run, choices, **buckets, jobs=jobs(choices))
    s3.write_json(S3Uri.parse(plan["reads"]), {"sample": sample, "lanes": pairs})
    execution = executions.arn(run)
    is_new = executions.start(execution, plan)
    runs.begin({**described(sample, run, choices), "execution": execution, "results": plan["results"]})
    return outcome("started" if is_new else "duplicate", run=run)


def resume(asked: dict[str, Any]) -> Outcome:
    """Let a run that ended go on: its jobs that are done end at once."""
    run = str(asked["resume"])
    try:
        check_images()
        execution = executions.resume(run, sizes())
    except (NotResumableError, NotReadyError) as error:
        logger.info("run not resumed")
        count("RunNotResumed")
        return {"outcome": "refused", "run": run, "reason": str(error)}
    logger.info("run resumed", extra={"run": run})
    count("RunResumed")
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
    if runs.refuse(described(sample, run, choices), failure_class, str(error)):
        lines = [f"Sample {sample} was not started: {error}.", f"Class: {failure_class}", failure.advice(failure_class)]
        runs.tell(run, f"seqdrop run {run}: not started", [*lines, f"More: seqdrop why {run}"])
    return {**outcome("refused", run=run, failure_class=failure_class), "reason": str(error)}  # the log has no sentence


def described(sample: str, run: str, choices: Choices) -> dict[str, str]:
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    return {"run": run, "sample": sample, "reference": choices.reference, **tools}


def outcome(word: str, **fields: str) -> Outcome:
    """Counted, logged and answered: no field may name a sample or a key."""
    count(f"Fastq{word.capitalize()}")
    logger.info(f"FASTQ {word}", extra=fields)
    return {"outcome": word, **fields}


def count(what: str) -> None:
    metrics.add_metric(name=what, unit=MetricUnit.Count, value=1)
