"""Handle uploaded FASTQs: when all files of a run have arrived, start it once. Also resume an ended run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop.log import log_failure, logger
from seqdrop.plan import fastq_names, input_names, markers, sheet
from seqdrop.plan.choices import BudgetError
from seqdrop.plan.csv_table import SheetError
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.input_names import NO_MATE
from seqdrop.plan.joint import KIND
from seqdrop.runs import executions, joint, lane_wait, layouts, pairing, sheets, submit, table
from seqdrop.runs.pairing import Pairing
from seqdrop.runs.submit import Result
from seqdrop.storage.uri import S3Uri

metrics = Metrics()
Answer = TypeVar("Answer")
OTHER_BUCKET = "the object is not in the bucket for FASTQs"
NOT_READS = "no file of reads"
UNVERSIONED = "the bucket keeps no versions: enable versioning, so that a run can pin its reads"


class NotHandledError(Exception):
    """Lambda logs it and retries the event. The message names no key and no sample."""


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Handle an event of EventBridge or of S3, messages of its own queue, or a call.

    Calls are `{"resume": RUN}` and `{"joint": SAMPLES}` of the command line, and `{"start": ROWS}` of the API: the rows
    of one sample.
    """
    if is_of_queue(event):
        return handle_messages(event["Records"])
    if "start" in event:
        if (answer := try_event(start_rows, event["start"])) is None:
            raise NotHandledError("the rows were not handled; the log has the error")
        return answer
    if "resume" in event:
        outcomes = [try_event(resume, event)]
    elif "joint" in event:
        outcomes = [try_event(start_joint, event["joint"])]
    elif "task" in event:  # a message that `seqdrop redrive` sends again
        outcomes = [try_event(handle_message, event)]
    else:
        outcomes = [try_event(handle_upload, record) for record in event.get("Records") or [event]]
    if None in outcomes:
        raise NotHandledError(f"{outcomes.count(None)} of {len(outcomes)} events failed; the log has the errors")
    return {"outcomes": outcomes}


def is_of_queue(event: dict[str, Any]) -> bool:
    """Return whether an event has messages of SQS; the records of S3 look alike."""
    return any(record.get("eventSource") == "aws:sqs" for record in event.get("Records") or ())


def handle_messages(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Handle messages of the queue; SQS delivers those again that the answer lists."""
    failed = [one["messageId"] for one in records if try_event(handle_message, json.loads(one["body"])) is None]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def handle_message(message: dict[str, Any]) -> Result:
    """Start the run of a sample of a sheet, or of lanes that have waited long enough."""
    if message["task"] == sheets.TASK:
        return report(sheets.start(message))
    return report(lane_wait.end(message, partial(start_complete, waited=True)))


def start_rows(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Start the run of rows of a samplesheet; the answer has their problems, or what became of them as `outcome`."""
    try:
        return report(sheets.start_rows(rows))
    except SheetError as error:
        return {"problems": [list(problem) for problem in error.problems]}


def try_event(handle: Callable[[Any], Answer], event: Any) -> Answer | None:
    """Handle one event; return None if it failed, so that a bad record does not stop the next ones."""
    try:
        return handle(event)
    except Exception as error:  # noqa: BLE001  reported as NotHandledError after all events
        log_failure("event failed", error)
        count("EventNotHandled")
        return None


def handle_upload(event: dict[str, Any]) -> Result:
    """Handle one uploaded object."""
    return report(process_upload(*uploaded_object(event)))


def report(result: Result) -> Result:
    """Count and log what became of an object or of waiting lanes."""
    # The reason of a refusal may name a file: with a failure class, only that is logged.
    omitted = {"outcome", "reason"} if "failure_class" in result else {"outcome"}
    fields = {name: value for name, value in result.items() if name not in omitted}
    logger.info(f"FASTQ {result['outcome']}", extra=fields)
    count(f"Fastq{result['outcome'].capitalize()}")
    return result


def uploaded_object(event: dict[str, Any]) -> tuple[S3Uri, str]:
    """Return the address and version of the object: EventBridge has the key itself, S3 has it URL-encoded."""
    if "s3" in event:
        bucket, stored = event["s3"]["bucket"]["name"], event["s3"]["object"]
        return S3Uri(bucket, unquote_plus(stored["key"])), stored.get("versionId") or ""
    # Not by the data classes of Powertools: their import is an eighth of a cold start.
    bucket, stored = event["detail"]["bucket"]["name"], event["detail"]["object"]
    return S3Uri(bucket, stored["key"]), stored.get("version-id") or ""


def process_upload(uri: S3Uri, version_id: str) -> Result:
    """Start the run of this object if all its files have arrived."""
    if uri.bucket != os.environ["FASTQ_BUCKET"]:
        return {"outcome": "ignored", "reason": OTHER_BUCKET}
    if sheet.is_sheet(uri.key):
        return sheets.handle(uri, version_id) if version_id else {"outcome": "refused", "reason": UNVERSIONED}
    name = input_names.parse(uri.key)
    if name is None:
        folder = markers.marked_folder(uri.key)
        if folder is not None and lane_wait.quiet_seconds():
            return lane_wait.end_all(uri.bucket, folder)
        reason = fastq_names.ignored_because(uri.key)
        if reason and pairing.is_held(uri):
            return sheets.wait(uri)
        return submit.ignore(uri.bucket, uri.key, reason) if reason else {"outcome": "ignored", "reason": NOT_READS}
    if name.mate == NO_MATE and (reason := layouts.why_ignored(uri, name)):
        return submit.ignore(uri.bucket, uri.key, reason)
    return start_complete(uri.bucket, name) if version_id else {"outcome": "refused", "reason": UNVERSIONED}


def start_complete(bucket: str, name: FastqName, *, waited: bool = False, max_cost: str = "") -> Result:
    """Start the run of a FASTQ if all its files have arrived; `waited`: no other lane came in the quiet time.

    `max_cost` is its budget in USD, if not that of its metadata.
    """
    found = find_pairs(bucket, name, join_lanes=waited or lane_wait.quiet_seconds() > 0)
    if found.chunks:
        return submit.refuse_chunks(bucket, name, found.chunks)
    if found.held:
        return sheets.wait(S3Uri(bucket, name.key))
    if found.missing:
        return {"outcome": "waiting", "reason": found.missing.reason}
    if run := sheets.has_started(bucket, name, found.pairs):
        return {"outcome": "duplicate", "run": run}
    if found.group and not waited:
        run = submit.started_run(name.sample, found.pairs)
        return {"outcome": "duplicate", "run": run} if run else lane_wait.begin(bucket, name, found)
    group = found.group and table.file_id("group", bucket, [found.group])
    result = submit.submit(name.sample, found.pairs, group, max_cost=max_cost)
    # The next chunk may have arrived in between, when its event found no run to stop.
    if name.chunk and result["outcome"] == "started" and (chunks := pairing.find_pairs(bucket, name).chunks):
        return submit.refuse_chunks(bucket, name, chunks)
    return result


def find_pairs(bucket: str, name: FastqName, *, join_lanes: bool) -> Pairing:
    """Find the pairs of a run, and record the files that wait for others: a row shows those that wait too long."""
    found = pairing.find_pairs(bucket, name, join_lanes=join_lanes)
    submit.update_waiting(bucket, name.sample, found)
    # A file may have arrived in between, when its event found no row to delete, or an older message in it.
    while found.missing and (now := pairing.find_pairs(bucket, name, join_lanes=join_lanes)).missing != found.missing:
        found = now
        submit.update_waiting(bucket, name.sample, found)
    return found


def resume(event: dict[str, Any]) -> Result:
    """Resume the run that `seqdrop resume` names, or start it if it was refused."""
    run = str(event["resume"])
    row = table.get(run) or {}
    refused = "upload" in row and row["status"] != table.WAITING
    max_cost = str(event.get("max_cost") or "")
    renew = joint.renew_plan if row.get("kind") == KIND else None
    try:
        submit.check_new_budget(max_cost)
        result = restart(run, S3Uri.parse(row["upload"]), max_cost) if refused else submit.resume(run, renew, max_cost)
    except (executions.NotResumableError, BudgetError) as error:
        result = {"outcome": "refused", "run": run, "reason": str(error)}
    logger.info(f"run {result['outcome']}", run=result["run"])
    count("RunResumed" if result["outcome"] == "resumed" else "RunNotResumed")
    return result


def start_joint(request: dict[str, Any]) -> Result:
    """Start the joint run that `seqdrop joint` asks for."""
    result = joint.submit_joint(request)
    logger.info(f"joint run {result['outcome']}", run=result.get("run", ""))  # the reason may name samples
    return result


def restart(run: str, upload: S3Uri, max_cost: str = "") -> Result:
    """Start a run that was refused: its cause may be corrected. Its id changes if what it reads has changed.

    `max_cost` is its new budget in USD, if it gets one.
    """
    name = input_names.parse(upload.key)
    waited = lane_wait.quiet_seconds() > 0
    if not name:
        return {"outcome": "refused", "run": run, "reason": NOT_READS}
    result = start_complete(upload.bucket, name, waited=waited, max_cost=max_cost)
    if result["outcome"] == "started":
        if result["run"] != run:
            table.set_restarted(run, result["run"])
        return {"outcome": "resumed", "run": result["run"], "execution": executions.arn(result["run"])}
    if result["outcome"] == "refused" and result["run"] == run:
        table.update_refused(run, result["failure_class"], result["reason"])
    reason = result.get("reason") or f"run {result.get('run')} has the same files and choices"
    return {"outcome": "refused", "run": run, "reason": reason}


def count(metric: str) -> None:
    """Add one to a metric."""
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)
