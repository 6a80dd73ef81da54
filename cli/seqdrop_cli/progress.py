"""Show the progress of an execution: a bar for each step, what it waits for, and the reads per second that it logs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from seqdrop.plan import steps
from seqdrop.text import format_seconds

from seqdrop_cli.screen import short_number, visible
from seqdrop_cli.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "failed": "red"}
BAR_WIDTH = 12  # columns: all columns together fit 80

RECENT = 60  # seconds of a log in which that line is searched


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
    in_queue: float = 0.0  # seconds that a job in this state has waited

    @property
    def label(self) -> str:
        """The state, with the number of the try unless it is the first: `running, try 2`."""
        return f"{self.state}, try {self.number}" if self.number > 1 else self.state


def table(
    run: str,
    elapsed: float,
    states: Sequence[StepState],
    rates: Mapping[str, str],
    *,
    embedded: bool,
    ended: bool = False,
) -> Table:
    """Return the progress of all steps, under the time since the start. `rates` has texts by step.

    In an execution that has ended, a step without a job was not run: it waits for nothing.
    """
    rows = Table.grid(padding=(0, 1))
    done = [state.step for state in states if state.state == "done"]
    if len(states) > 1:
        heading = f"{len(done)} of {len(states)} steps"
        rows.add_row(Text(run[:8]), _bar(len(done), len(states)), Text(heading), Text(format_seconds(elapsed)))
    for state in states:
        took = format_seconds(state.elapsed) if state.elapsed else ""
        bar = _bar(int(state.state in {"done", "failed"}), 1, pulse=state.state == "running")
        label = Text("not run" if ended and state.state == "waiting" else state.label, style=STYLES[state.state])
        more = "" if ended else rates.get(state.step) or waits_for(state, done, embedded=embedded)
        rows.add_row(Text(visible(state.step)), bar, label, Text(took), Text(more, style="dim"))
    return rows


def _bar(completed: int, total: int, *, pulse: bool = False) -> ProgressBar:
    return ProgressBar(total=total, completed=completed, width=BAR_WIDTH, pulse=pulse)


def waits_for(state: StepState, done: Sequence[str], *, embedded: bool) -> str:
    """Return what a step waits for: `for align`, `for an instance, 3 min 05 s`; "" if it does not wait."""
    if state.queued:
        what = "its container" if state.queued == "STARTING" else "free CPUs" if embedded else "an instance"
        return f"for {what}, {format_seconds(state.in_queue)}"
    missing = [name for name in steps.needed_by(state.step) if name not in done]
    return f"for {', '.join(missing)}" if missing and state.state == "waiting" else ""


def read_rates(stack: Stack, jobs: Sequence[Job], details: Mapping[str, JobDetailTypeDef]) -> dict[str, str]:
    """Return what running jobs have logged last about their progress, by step."""
    running = {job.step: details[job.job_id] for job in jobs if job.job_id in details}
    streams = {
        step: detail.get("container", {}).get("logStreamName")
        for step, detail in running.items()
        if detail["status"] == "RUNNING"
    }
    return {step: text for step, stream in streams.items() if stream and (text := _last_progress(stack, stream))}


def _last_progress(stack: Stack, stream: str) -> str:
    start = round((time.time() - RECENT) * 1000)
    request: dict[str, Any] = {"logGroupName": stack["JobLogGroup"], "logStreamName": stream, "startTime": start}
    try:
        events = stack.logs.get_log_events(**request)["events"]
    except ClientError:  # the stream does not exist yet, or AWS is busy: the next look has it
        return ""
    return next((text for event in reversed(events) if (text := describe_progress(event["message"]))), "")


def describe_progress(line: str) -> str:
    """Return `1.2M reads, 45k/s` for the line of a log about progress; "" for any other line."""
    try:
        match json.loads(line):
            case {"message": "progress", "reads": int(reads), "reads_per_second": int(rate)}:
                return f"{short_number(reads)} reads, {short_number(rate)}/s"
    except ValueError:
        pass
    return ""
