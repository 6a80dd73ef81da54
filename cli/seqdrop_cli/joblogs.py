"""What the jobs of a run wrote, from their log streams."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError
from seqdrop.plan import layout, steps
from seqdrop.storage.uri import S3Uri

from seqdrop_cli.follow import Submitted, described, submitted_jobs
from seqdrop_cli.problem import Problem
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

SAME_ON_EVERY_LINE = {"level", "location", "message", "timestamp", "service", "run", "step", "job", "tool"}


def show_logs(stack: Stack, row: Mapping[str, Any], step: str | None, *, raw: bool) -> None:
    """Every try of every step, or of one, in the order they were submitted."""
    if step is not None and step not in steps.names():
        raise Problem(f"No step {step}: a run has {', '.join(steps.names())}.")
    jobs = [job for job in jobs_of(stack, row) if step in (None, job.step)]
    if not jobs:
        raise Problem(f"Run {row['run']} has no job{f' {step}' if step else ''} yet, or they are forgotten.")
    details = described(stack, jobs)
    for job in jobs:
        again = f", try {job.number}" if job.number > 1 else ""
        say(f"== {job.step}{again} ({job.job_id})", style="bold")
        detail = details.get(job.job_id)
        stream = detail.get("container", {}).get("logStreamName") if detail else None
        if stream is None:
            say("(no log: it never ran, or Batch has forgotten it)")
            continue
        for line in _lines(stack, stream):
            say(line if raw else readable(line))


def jobs_of(stack: Stack, row: Mapping[str, Any]) -> list[Submitted]:
    """From the execution's history; 90 days later from the receipts, which name the job that succeeded."""
    if not row.get("execution"):
        return []
    try:
        return submitted_jobs(stack, str(row["execution"]), str(row["run"]))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
    return list(_from_receipts(stack, S3Uri.parse(str(row["results"]))))


def _from_receipts(stack: Stack, results: S3Uri) -> Iterator[Submitted]:
    for step in steps.names():
        uri = layout.receipt_uri(results, step)
        try:
            body = stack.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            continue
        if job_id := json.loads(body).get("job_id"):
            yield Submitted(step, job_id, 1)


def readable(line: str) -> str:
    """`10:00:07 samtools: [bam_sort_core] merging` out of a JSON line; any other line as it is."""
    try:
        entry = json.loads(line)
        text = f"{entry['timestamp'][11:19]} {entry.get('tool', '')}: {entry['message']}".replace(" : ", " ")
    except (ValueError, TypeError, KeyError):
        return line
    fields = " ".join(f"{name}={value}" for name, value in entry.items() if name not in SAME_ON_EVERY_LINE)
    return f"{text}  {fields}".rstrip()


def _lines(stack: Stack, stream: str) -> Iterator[str]:
    request: dict[str, Any] = {"logGroupName": stack["JobLogGroup"], "logStreamName": stream, "startFromHead": True}
    while True:
        try:
            page = stack.logs.get_log_events(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            yield "(no log: the stream is not there, or not yet)"
            return
        yield from (event["message"].rstrip("\n") for event in page["events"])
        if not page["events"] or page["nextForwardToken"] == request.get("nextToken"):
            return
        request["nextToken"] = page["nextForwardToken"]
