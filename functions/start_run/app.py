"""A FASTQ arrived: when its mates are all there, start one run. Or a run that ended is to go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import S3EventBridgeNotificationEvent
from aws_lambda_powertools.utilities.data_classes.s3_event import S3EventRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop.log import log_failure, logger
from seqdrop.plan import layout
from seqdrop.plan.layout import Fastq
from seqdrop.runs import pairing, submit, table
from seqdrop.runs.pairing import Lack
from seqdrop.runs.submit import Outcome
from seqdrop.storage.uri import S3Uri

metrics = Metrics()
ELSEWHERE = "it lies in another bucket than the one for FASTQs"
NO_FASTQ = "not a FASTQ of a pair: names end in _R1 or _R2 and .fastq.gz"
UNVERSIONED = "the bucket keeps no versions: turn versioning on, so that a run can pin its reads"


class NotHandledError(Exception):
    """Lambda prints it and sends the event again. It names no key and no sample."""


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """From EventBridge or S3 itself, or from `seqdrop resume`, which asks with `{"resume": RUN}`."""
    if "resume" in event:
        outcomes = [handled(resume, event)]
    else:
        outcomes = [handled(lambda told: noted(arrived(told)), told) for told in event.get("Records") or [event]]
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
        return {"outcome": "ignored", "reason": ELSEWHERE}
    name = layout.parse_fastq_key(uri.key)
    if name is None:
        return {"outcome": "ignored", "reason": NO_FASTQ}
    if not version_id:
        return {"outcome": "refused", "reason": UNVERSIONED}
    found = pairing.find(uri.bucket, name)
    if isinstance(found, Lack):
        found = waited(uri.bucket, name, found)
    if isinstance(found, Lack):
        return {"outcome": "waiting", "reason": found.reason}
    return submit.begin(name.sample, found)


def arrival(told: dict[str, Any]) -> tuple[S3Uri, str]:
    """What arrived and its version: from EventBridge (keys as they are) or from S3 itself (keys URL-encoded)."""
    if "s3" in told:
        record = S3EventRecord(told).s3
        return S3Uri(record.bucket.name, unquote_plus(record.get_object.key)), record.get_object.version_id or ""
    detail = S3EventBridgeNotificationEvent(told).detail
    # the data class decodes the key, which is told as it is, and has no word for no version
    return S3Uri(detail.bucket.name, detail.object["key"]), detail.object.get("version-id") or ""


def waited(bucket: str, name: Fastq, lack: Lack) -> list[pairing.Found] | Lack:
    """A lone mate is normal; it gets a row, so that one that waits too long is seen. Then a last look."""
    table.remember_waiting(bucket, lack.names, name.sample, lack.message)
    return pairing.find(bucket, name)  # the mate may have come in between, and its event found no row to forget


def resume(asked: dict[str, Any]) -> Outcome:
    found = submit.resume(str(asked["resume"]))
    logger.info(f"run {found['outcome']}", run=found["run"])
    count("RunResumed" if found["outcome"] == "resumed" else "RunNotResumed")
    return found


def noted(found: Outcome) -> Outcome:
    """Counted and logged: by its class where it has one, since the reason of a refusal may name a file."""
    silent = {"outcome", "reason"} if "failure_class" in found else {"outcome"}
    said = {name: value for name, value in found.items() if name not in silent}
    logger.info(f"FASTQ {found['outcome']}", extra=said)
    count(f"Fastq{found['outcome'].capitalize()}")
    return found


def count(what: str) -> None:
    metrics.add_metric(name=what, unit=MetricUnit.Count, value=1)
