"""Follow an execution to its end: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table
from rich.text import Text
from seqdrop.plan import steps
from seqdrop.runs import executions

from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.screen import console, format_seconds, say, visible
from seqdrop_cli.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

BATCH_STATES = {"RUNNING": "running", "SUCCEEDED": "done", "FAILED": "failed"}
STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "failed": "red"}
MAX_JOBS = 100  # of one call of DescribeJobs


@dataclass(frozen=True, slots=True)
class Job:
    """A job that an execution submitted."""

    step: str
    job_id: str
    number: int  # of the try: 1 is the first job of this step


@dataclass(frozen=True, slots=True)
class StepState:
    """The state of a step: that of its newest job."""

    step: str
    state: str  # waiting, running, done, failed
    elapsed: float = 0.0  # seconds since the process of the job began
    number: int = 1  # of the try
    queued: str = ""  # the state of a job that Batch has not started: SUBMITTED, PENDING, RUNNABLE or STARTING
    reason: str = ""  # Batch's reason for a job in this state, if it knows one

    @property
    def label(self) -> str:
        """The state, with the number of the try unless it is the first: `running, try 2`."""
        return f"{self.state}, try {self.number}" if self.number > 1 else self.state


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
    details = describe_jobs(stack, jobs)
    states = {name: StepState(name, "waiting") for name in names}
    for job in jobs:
        states[job.step] = _state(job, details.get(job.job_id))
    return list(states.values())


def _state(job: Job, detail: JobDetailTypeDef | None) -> StepState:
    if detail is None:
        return StepState(job.step, "waiting", 0.0, job.number)
    started, stopped = detail.get("startedAt"), detail.get("stoppedAt")
    elapsed = ((stopped or time.time() * 1000) - started) / 1000 if started else 0.0
    state = BATCH_STATES.get(detail["status"], "waiting")
    queued = (detail["status"], detail.get("statusReason", "")) if state == "waiting" else ("", "")
    return StepState(job.step, state, max(0.0, elapsed), job.number, *queued)


def follow(stack: Stack, execution: str, run: str) -> tuple[str, list[StepState]]:
    """Print the progress of an execution until it ends; return its status and the state of each step."""
    terminal = console()
    printed: dict[str, str] = {}
    with Live(console=terminal, refresh_per_second=8) if terminal.is_terminal else nullcontext() as live:
        while True:
            description = stack.stepfunctions.describe_execution(executionArn=execution)
            states = step_states(stack, execution, run, plan_steps(description))
            if live:
                live.update(_table(states))
            else:
                _print_changes(states, printed)
            if description["status"] != "RUNNING":
                return description["status"], states
            time.sleep(stack.pause)


def _table(states: Sequence[StepState]) -> Table:
    table = Table.grid(padding=(0, 2))
    for state in states:
        elapsed = format_seconds(state.elapsed) if state.elapsed else ""
        table.add_row(Text(visible(state.step)), Text(state.label, style=STYLES[state.state]), Text(elapsed))
    return table


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
