"""`seqdrop logs`: print the logs of a run's jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError
from seqdrop.plan import layout
from seqdrop.storage.uri import S3Uri

from seqdrop_cli.errors import CliError
from seqdrop_cli.follow import Job, describe_jobs, run_steps, submitted_jobs
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

OMITTED_FIELDS = {"level", "location", "message", "timestamp", "service", "run", "step", "job", "tool"}


def show_logs(stack: Stack, row: Mapping[str, Any], step: str | None, *, raw: bool) -> None:
    """Print the log of every job of a run, or of one step, in the order of submission."""
    every_job = _jobs(stack, row)
    names = dict.fromkeys([*run_steps(stack, row), *(job.step for job in every_job)])
    if step is not None and step not in names:
        raise CliError(f"There is no step {step}: the steps of this run are {', '.join(names)}.")
    jobs = [job for job in every_job if step in (None, job.step)]
    if not jobs:
        raise CliError(f"Run {row['run']} has no job{f' {step}' if step else ''} yet, or its jobs were deleted.")
    details = describe_jobs(stack, jobs)
    for job in jobs:
        number = f", try {job.number}" if job.number > 1 else ""
        say(f"== {job.step}{number} ({job.job_id})", style="bold")
        detail = details.get(job.job_id)
        stream = detail.get("container", {}).get("logStreamName") if detail else None
        if stream is None:
            say("(no log: the job never ran, or Batch has deleted it)")
            continue
        for line in _lines(stack, stream):
            say(line if raw else format_line(line))


def _jobs(stack: Stack, row: Mapping[str, Any]) -> list[Job]:
    """Return the jobs of a run from the history of its execution, or from its receipts once that is deleted."""
    if not row.get("execution"):
        return []
    try:
        return submitted_jobs(stack, str(row["execution"]), str(row["run"]))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
    return list(_jobs_in_receipts(stack, S3Uri.parse(str(row["results"]))))


def _jobs_in_receipts(stack: Stack, results: S3Uri) -> Iterator[Job]:
    """Yield the job that succeeded of each step, in the order in which they ended."""
    folder = layout.receipt_uri(results, "step").parent
    receipts = sorted(
        stack.store.list_objects(folder.bucket, f"{folder.key}/"), key=lambda entry: entry["LastModified"]
    )
    for uri in (S3Uri(folder.bucket, entry["Key"]) for entry in receipts):
        if job_id := stack.store.read_json(uri).get("job_id"):
            yield Job(uri.name.removesuffix(".json"), job_id, 1)


def format_line(line: str) -> str:
    """Format a JSON line: `10:00:07 samtools: [bam_sort_core] merging`. Other lines are not changed."""
    try:
        entry = json.loads(line)
        text = f"{entry['timestamp'][11:19]} {entry.get('tool', '')}: {entry['message']}".replace(" : ", " ")
    except (ValueError, TypeError, KeyError):
        return line
    fields = " ".join(f"{name}={value}" for name, value in entry.items() if name not in OMITTED_FIELDS)
    return f"{text}  {fields}".rstrip()


def _lines(stack: Stack, stream: str) -> Iterator[str]:
    request: dict[str, Any] = {"logGroupName": stack["JobLogGroup"], "logStreamName": stream, "startFromHead": True}
    while True:
        try:
            page = stack.logs.get_log_events(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            yield "(no log: its stream does not exist, or not yet)"
            return
        yield from (event["message"].rstrip("\n") for event in page["events"])
        if not page["events"] or page["nextForwardToken"] == request.get("nextToken"):
            return
        request["nextToken"] = page["nextForwardToken"]
