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
from seqdrop import fastq, layout, runs, s3
from seqdrop.layout import ChoiceError, Choices, Fastq
from seqdrop.log import logger
from seqdrop.reference import UnpreparedError, check_reference
from seqdrop.uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

metrics = Metrics()
FIRST_READS = 16 << 10  # bytes: enough for the first block of any gzip file, and so for a read's name
Pair = dict[str, Any]  # an entry of reads.json
Arrived = tuple[Pair, list[dict[str, str]]]  # a pair, and the metadata of its two mates
UNVERSIONED = "the bucket keeps no versions: turn versioning on, so that a run can pin its reads"


class NotReadyError(Exception):
    """The stack is deployed, but nobody has pushed the tools' images yet."""


REFUSALS = {ChoiceError: "BAD_INPUT.MALFORMED", UnpreparedError: "REFERENCE", NotReadyError: "NOT_READY"}


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
            yield (
                S3Uri(record.s3.bucket.name, unquote_plus(record.s3.get_object.key)),
                record.s3.get_object.version_id or "",
            )
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
    objects = pinned(uri.bucket, name) or waited(uri.bucket, name)
    if objects is None:
        return outcome("waiting", reason="the mate is not there yet")
    sample, pairs = name.sample, [pair for pair, _ in objects]
    try:
        choices = agreed([choices for _, choices in objects])
        check_images()
        genome = check_reference(os.environ["REFERENCE_BUCKET"], choices, os.environ["ALIGNER"])
    except (ChoiceError, UnpreparedError, NotReadyError) as error:
        return refuse(sample, pairs, error)
    return start(sample, with_read_groups(sample, pairs), choices, genome)


def pinned(bucket: str, name: Fastq) -> list[Arrived] | None:
    """The pairs that make one run, at the versions that lie there now, each with its mates' metadata; None: not all do.

    Not the version of the event: by the time it comes the object may be another, whose own event finds a duplicate.
    """
    first = pair_of(bucket, name)
    if first is None:
        return None
    lanes = first[1][0].get("seqdrop-lanes", "1")
    if lanes == "1" or not layout.LANES.fullmatch(lanes):  # what cannot be is refused with the other choices
        return [first]
    keys = s3.keys_beginning(bucket, name.siblings)
    found = {lane.lane: lane for lane in map(layout.parse_fastq_key, keys) if lane and lane.is_beside(name)}
    pairs = [pair_of(bucket, found[lane]) for lane in sorted(found)]
    complete = [pair for pair in pairs if pair]
    return complete if str(len(complete)) == lanes else None


def pair_of(bucket: str, name: Fastq) -> Arrived | None:
    try:
        one, two = (s3.head(S3Uri(bucket, key)) for key in name.mates)
    except s3.MissingError:
        return None
    runs.forget_waiting(bucket, name.mates)
    pair = {"lane": name.lane, "fastq_1": one.pinned(), "fastq_2": two.pinned()}
    return pair, [dict(one.metadata), dict(two.metadata)]


def waited(bucket: str, name: Fastq) -> list[Arrived] | None:
    """A lone mate is normal; it gets a row, so that one that waits too long is seen. Then a last look."""
    runs.remember_waiting(bucket, name.mates, name.sample)
    return pinned(bucket, name)  # the mate may have come in between, and its event found no row to forget


def check_images() -> None:
    """Raises NotReadyError."""
    if os.environ["IMAGE_TAG"] == "none":
        command = f"make push STACK={os.environ['STACK']}"
        raise NotReadyError(f"the images of the tools are not there yet: run `{command}` and `sam deploy`")


def agreed(metadata: Sequence[Sequence[dict[str, str]]]) -> Choices:
    """The choices on all mates of all lanes, which must be the same; raises ChoiceError."""
    every = [Choices.from_metadata(mate) for pair in metadata for mate in pair]
    if any(choices != every[0] for choices in every):
        raise ChoiceError("the mates carry different choices (x-amz-meta-seqdrop-*): upload both with the same")
    chosen = every[0]
    return replace(chosen, reference=chosen.reference or os.environ["DEFAULT_REFERENCE"])


def with_read_groups(sample: str, pairs: Sequence[Pair]) -> list[Pair]:
    """`<flowcell>.<lane>` as the reads themselves say; where they do not, the lane of the file's name."""
    named: list[Pair] = []
    for place, pair in enumerate(pairs, start=1):
        one = pair["fastq_1"]
        head = s3.head_bytes(S3Uri.parse(one["uri"]), FIRST_READS, one["version_id"])
        group = fastq.read_group(head) or f"{sample}.{pair['lane'] or place}"
        taken = {other["read_group"] for other in named}
        named.append({**pair, "read_group": f"{group}.{place}" if group in taken else group})
    return named


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


def refuse(sample: str, pairs: Sequence[Pair], error: Exception) -> dict[str, str]:
    """What cannot be started gets a row that says so, and a message: the person who dropped it sees no log."""
    failure_class = REFUSALS[type(error)]
    run = name_of(sample, pairs, Choices(), genome="")  # no run that can start has this name
    if runs.refuse(described(sample, run, Choices()), failure_class, str(error)):
        runs.tell(f"seqdrop run {run}: not started", [f"Sample {sample} was not started: {error}."])
    return outcome("refused", run=run, reason=str(error))


def described(sample: str, run: str, choices: Choices) -> dict[str, str]:
    tools = {"aligner": os.environ["ALIGNER"], "caller": os.environ["CALLER"]}
    return {"run": run, "sample": sample, "reference": choices.reference, **tools}


def outcome(word: str, **fields: str) -> dict[str, str]:
    metrics.add_metric(name=f"Fastq{word.capitalize()}", unit=MetricUnit.Count, value=1)
    logger.info(f"FASTQ {word}", extra=fields)
    return {"outcome": word, **fields}
