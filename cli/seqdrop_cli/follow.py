"""Follow an execution to its end: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from seqdrop.plan import layout, steps
from seqdrop.runs import executions
from seqdrop.storage.uri import S3Uri
from seqdrop.text import format_seconds

from seqdrop_cli import progress
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.progress import Job, StepState
from seqdrop_cli.screen import console, live_table, say
from seqdrop_cli.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

BATCH_STATES = {"RUNNING": "running", "SUCCEEDED": "done", "FAILED": "failed"}
MAX_JOBS = 100  # of one call of DescribeJobs


def plan_steps(execution: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the steps of an execution by its description.

    The plan of a run lists its own steps: an older plan has fewer steps than the table of today, or others. Without a
    plan (started by hand, or deleted 90 days after its end) the steps are those of the table.
    """
    try:
        plan = json.loads((execution or {}).get("input", ""))
    except ValueError:
        return steps.names()
    match plan:
        case {"steps": [*names]} if all(isinstance(name, str) for name in names):
            return steps.of_plan(plan)
        case {"fasta": str()}:  # a preparation has one step
            return (steps.PREPARE.name,)
    return steps.names()


def run_steps(stack: Stack, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the steps of a run by its row."""
    execution = str(row.get("execution") or "")
    return plan_steps(executions.describe(execution, stack.stepfunctions) if execution else None)


def submitted_jobs(stack: Stack, execution: str, run: str) -> list[Job]:
    """Return every job of an execution in the order of submission; job names are `<step>-<run>`."""
    jobs: list[Job] = []
    for event in _history(stack, execution):
        details = event.get("taskSubmittedEventDetails")
        answer = json.loads(details.get("output", "{}")) if details else {}
        if "JobName" in answer:
            step = answer["JobName"].removesuffix(f"-{run}")
            jobs.append(Job(step, answer["JobId"], 1 + sum(job.step == step for job in jobs)))
    return jobs


def _history(stack: Stack, execution: str) -> Iterator[dict[str, Any]]:
    request = {"executionArn": execution, "maxResults": 1000}
    while True:
        page: Any = stack.stepfunctions.get_execution_history(**request)  # type: ignore[arg-type]
        yield from page["events"]
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]


def describe_jobs(stack: Stack, jobs: Sequence[Job]) -> dict[str, JobDetailTypeDef]:
    """Return what Batch knows of these jobs, by job id; it deletes jobs after some days."""
    ids = [job.job_id for job in jobs]
    pages = [
        stack.batch.describe_jobs(jobs=ids[start : start + MAX_JOBS])["jobs"] for start in range(0, len(ids), MAX_JOBS)
    ]
    return {job["jobId"]: job for page in pages for job in page}


def step_states(stack: Stack, execution: str, run: str, names: Sequence[str]) -> list[StepState]:
    """Return the state of each of these steps, and of every other step that has a job."""
    jobs = submitted_jobs(stack, execution, run)
    states = states_of(jobs, describe_jobs(stack, jobs), names)
    if not has_fused_job(jobs):
        return states
    return states_in_job(stack, executions.describe(execution, stack.stepfunctions) or {}, states)


def has_fused_job(jobs: Sequence[Job]) -> bool:
    """Return whether all steps of a run share one job."""
    return any(job.step == steps.FUSED.name for job in jobs)


def states_in_job(stack: Stack, execution: Mapping[str, Any], states: Sequence[StepState]) -> list[StepState]:
    """Return the states of steps that share one job: done with a receipt; the first one without has that of the job."""
    [job] = (state for state in states if state.step == steps.FUSED.name)
    folder = layout.receipt_uri(S3Uri.parse(json.loads(execution["input"])["results"]), "step").parent
    done = {name.removesuffix(".json") for name in stack.store.list_names(folder)}
    names = [state.step for state in states if state.step != steps.FUSED.name]
    current = next((name for name in names if name not in done), "")
    found = {name: StepState(name, "done" if name in done else "waiting", number=job.number) for name in names}
    return list((found | {current: replace(job, step=current)} if current else found).values())


def states_of(jobs: Sequence[Job], details: Mapping[str, JobDetailTypeDef], names: Sequence[str]) -> list[StepState]:
    """Return the state of each of these steps, and of every other step that has a job, from what Batch knows."""
    states = {name: StepState(name, "waiting") for name in names}
    for job in jobs:
        states[job.step] = _state(job, details.get(job.job_id))
    return list(states.values())


def _state(job: Job, detail: JobDetailTypeDef | None) -> StepState:
    if detail is None:
        return StepState(job.step, "waiting", 0.0, job.number)
    state = BATCH_STATES.get(_status(detail), "waiting")
    elapsed = _seconds(detail.get("startedAt"), detail.get("stoppedAt"))
    if state == "waiting":
        in_queue = _seconds(detail.get("createdAt"), None)
        reason = detail.get("statusReason", "")
        return StepState(job.step, state, elapsed, job.number, detail["status"], reason, in_queue)
    return StepState(job.step, state, elapsed, job.number)


def _status(detail: JobDetailTypeDef) -> str:
    """Return the status of a job. Batch calls an array job PENDING to its end: it is RUNNING once a child has begun."""
    children = detail.get("arrayProperties", {}).get("statusSummary", {})
    begun = any(children.get(status) for status in BATCH_STATES)
    return "RUNNING" if detail["status"] == "PENDING" and begun else detail["status"]


def _seconds(start: int | None, end: int | None) -> float:
    """Return the seconds between two times of Batch, which are in milliseconds; until now without an end."""
    return max(0.0, ((end or time.time() * 1000) - start) / 1000) if start else 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What Step Functions and Batch know of an execution at one time."""

    status: str  # of the execution
    elapsed: float  # seconds since it started
    jobs: Sequence[Job]
    details: Mapping[str, JobDetailTypeDef]
    states: list[StepState]


def watch(stack: Stack, execution: str, run: str) -> Iterator[Moment]:
    """Yield an execution as it is now, again and again until it ends; show its progress live on a terminal."""
    with live_table() as live:
        while True:
            moment = _observe(stack, execution, run)
            if live:
                rates = progress.read_rates(stack, moment.jobs, moment.details)
                if of_job := rates.pop(steps.FUSED.name, ""):
                    rates |= {state.step: of_job for state in moment.states if state.state == "running"}
                how = {"embedded": stack.is_embedded, "ended": moment.status != "RUNNING"}
                live.update(progress.table(run, moment.elapsed, moment.states, rates, **how))
            yield moment
            if moment.status != "RUNNING":
                return
            time.sleep(stack.pause)


def _observe(stack: Stack, execution: str, run: str) -> Moment:
    description: Any = stack.stepfunctions.describe_execution(executionArn=execution)
    jobs = submitted_jobs(stack, execution, run)
    details = describe_jobs(stack, jobs)
    start, end = description.get("startDate"), description.get("stopDate")
    elapsed = ((end or datetime.now(UTC)) - start).total_seconds() if start else 0.0
    states = states_of(jobs, details, plan_steps(description))
    if has_fused_job(jobs):
        states = states_in_job(stack, description, states)
    return Moment(description["status"], elapsed, jobs, details, states)


def follow(stack: Stack, execution: str, run: str) -> tuple[str, list[StepState]]:
    """Print the progress of an execution until it ends; return its status and the state of each step."""
    printed: dict[str, str] = {}
    for moment in watch(stack, execution, run):
        if not console().is_terminal:
            _print_changes(moment.states, printed)
    return moment.status, moment.states


def _print_changes(states: Sequence[StepState], printed: dict[str, str]) -> None:
    """Print a line for each step whose state changed: for a pipe or a log."""
    for state in states:
        if state.label != printed.get(state.step, "waiting"):
            elapsed = f"  {format_seconds(state.elapsed)}" if state.state in {"done", "failed"} else ""
            say(f"{state.step:<10} {state.label}{elapsed}")
        printed[state.step] = state.label


def interrupted_following(stack: Stack, run: str) -> CliError:
    """Return the error for Ctrl-C while a run is followed that continues without this command."""
    return CliError(
        f"Interrupted. The run continues: `seqdrop status {run}{stack.option}` shows it, "
        f"`seqdrop stop {run}{stack.option}` stops it.",
        INTERRUPTED_EXIT,
    )
