"""`seqdrop logs`: print the logs of a run's jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from seqdrop.plan import layout, steps
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import run_table
from seqdrop_cli.errors import CliError
from seqdrop_cli.follow import describe_jobs, run_steps, submitted_jobs, watch
from seqdrop_cli.progress import Job
from seqdrop_cli.screen import say, say_output
from seqdrop_cli.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDetailTypeDef


class MissingStreamError(Exception):
    """The log stream of a job does not exist."""


OMITTED_FIELDS = {"level", "location", "message", "timestamp", "service", "run", "step", "job", "tool"}


def show_logs(stack: Stack, row: Mapping[str, Any], step: str | None, *, raw: bool) -> None:
    """Print the log of every job of a run, or of one step, in the order of submission."""
    every_job = _jobs(stack, row)
    _check_step(step, [*run_steps(stack, row), *(job.step for job in every_job)])
    jobs = [job for job in every_job if _has_lines_of(job, step)]
    if not jobs:
        raise CliError(f"Run {row['run']} has no job{f' {step}' if step else ''} yet, or its jobs were deleted.")
    details = describe_jobs(stack, jobs)
    jobs = [one for job in jobs for one in _with_children(job, details.get(job.job_id))]
    details |= describe_jobs(stack, [job for job in jobs if job.job_id not in details])
    for job in jobs:
        say(_heading(job), style="bold")
        stream = _stream(details.get(job.job_id))
        if stream is None:
            say("(no log: the job never ran, or Batch has deleted it)")
            continue
        try:
            for line in _lines_of(job, step, _lines(stack, stream)):
                _print(line, raw=raw)
        except MissingStreamError:
            say("(no log: its stream does not exist, or not yet)")


def _with_children(job: Job, detail: JobDetailTypeDef | None) -> list[Job]:
    """Return the children of an array job, which have the logs; any other job itself."""
    size = detail.get("arrayProperties", {}).get("size", 0) if detail else 0
    return [Job(job.step, f"{job.job_id}:{index}", job.number) for index in range(size)] or [job]


def follow_logs(stack: Stack, row: Mapping[str, Any], step: str | None, *, raw: bool) -> None:
    """Print the lines of a run's jobs, or of one step, as they come, until the run ends; show its progress too."""
    execution, run = run_table.execution_of(row), str(row["run"])
    _check_step(step, run_steps(stack, row))
    tokens: dict[str, str] = {}  # stream -> where its next line begins
    last = ""  # the job that printed the last line
    for moment in watch(stack, execution, run):
        jobs = [one for job in moment.jobs for one in _with_children(job, moment.details.get(job.job_id))]
        children = describe_jobs(stack, [job for job in jobs if job.job_id not in moment.details])
        for job in jobs:
            detail = children.get(job.job_id) or moment.details.get(job.job_id)
            stream = _stream(detail) if _has_lines_of(job, step) else None
            lines = list(_lines_of(job, step, _new_lines(stack, stream, tokens) if stream else []))
            if lines and job.job_id != last:
                say(_heading(job), style="bold")
                last = job.job_id
            for line in lines:
                _print(line, raw=raw)


def _has_lines_of(job: Job, step: str | None) -> bool:
    """Return whether a step, or any step, writes to the log of a job."""
    return step in (None, job.step) or job.step == steps.FUSED.name


def _lines_of(job: Job, step: str | None, lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a step: those with its name in the log of a job that has all steps, else all."""
    for line in lines:
        if step in (None, job.step) or f'"step":"{step}"' in line:
            yield line


def _print(line: str, *, raw: bool) -> None:
    if raw:
        say_output(line)
    else:
        say(format_line(line))


def _new_lines(stack: Stack, stream: str, tokens: dict[str, str]) -> list[str]:
    """Return the lines that a stream has got since the last time; none while it does not exist."""
    try:
        return list(_lines(stack, stream, tokens))
    except MissingStreamError:
        return []


def _stream(detail: JobDetailTypeDef | None) -> str | None:
    """Return the name of the log stream of a job; None if it never ran."""
    return detail.get("container", {}).get("logStreamName") if detail else None


def _check_step(step: str | None, names: Sequence[str]) -> None:
    if step is not None and step not in names:
        raise CliError(f"No step {step} in this run; its steps are {', '.join(dict.fromkeys(names))}.")


def _heading(job: Job) -> str:
    number = f", try {job.number}" if job.number > 1 else ""
    return f"== {job.step}{number} ({job.job_id})"


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
    """Yield the jobs that left a receipt, in the order in which they ended: the job with all steps has one of each."""
    folder = layout.receipt_uri(results, "step").parent
    receipts = sorted(
        stack.store.list_objects(folder.bucket, f"{folder.key}/"), key=lambda entry: entry["LastModified"]
    )
    found: dict[str, list[str]] = {}
    for uri in (S3Uri(folder.bucket, entry["Key"]) for entry in receipts):
        if uri.name.endswith(".json") and (job_id := stack.store.read_json(uri).get("job_id")):
            found.setdefault(job_id, []).append(uri.name.split(".")[0])
    for job_id, names in found.items():
        yield Job(names[0] if len(names) == 1 else steps.FUSED.name, job_id, 1)


def format_line(line: str) -> str:
    """Format a JSON line: `10:00:07 samtools: [bam_sort_core] merging`. Other lines are not changed."""
    try:
        entry = json.loads(line)
        text = f"{entry['timestamp'][11:19]} {entry.get('tool', '')}: {entry['message']}".replace(" : ", " ")
    except (ValueError, TypeError, KeyError):
        return line
    fields = " ".join(f"{name}={value}" for name, value in entry.items() if name not in OMITTED_FIELDS)
    return f"{text}  {fields}".rstrip()


def _lines(stack: Stack, stream: str, tokens: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the lines of a stream: all, or those after its place in `tokens`, which is moved.

    Raises MissingStreamError.
    """
    tokens = {} if tokens is None else tokens
    request: dict[str, Any] = {"logGroupName": stack["JobLogGroup"], "logStreamName": stream, "startFromHead": True}
    while True:
        before: dict[str, Any] = {"nextToken": tokens[stream]} if stream in tokens else {}
        try:
            page = stack.logs.get_log_events(**request, **before)
        except stack.logs.exceptions.ResourceNotFoundException:
            raise MissingStreamError from None
        yield from (event["message"].rstrip("\n") for event in page["events"])
        tokens[stream] = page["nextForwardToken"]
        if tokens[stream] == before.get("nextToken"):  # the end; AWS also returns empty pages before it
            return
