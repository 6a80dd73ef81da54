"""Watch an execution to its end: a line for each job, on a terminal as a table that lives."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table
from rich.text import Text

from seqdrop_cli.errors import INTERRUPTED, CliError
from seqdrop_cli.screen import say, screen, seconds
from seqdrop_cli.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

STATES = {"RUNNING": "running", "SUCCEEDED": "done", "FAILED": "failed"}
STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "failed": "red"}


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job as the execution's history knows it."""

    step: str
    job_id: str
    number: int  # 1 is the first try of this step


@dataclass(frozen=True, slots=True)
class Line:
    step: str
    state: str
    elapsed: float = 0.0  # seconds since its process began
    number: int = 1

    @property
    def told(self) -> str:
        again = f", try {self.number}" if self.number > 1 else ""
        return f"{self.state}{again}"


def submitted_jobs(stack: Stack, execution: str, run: str) -> list[Submitted]:
    """Every job of an execution in the order of submission; job names are `<step>-<run>`."""
    found: list[Submitted] = []
    for event in _history(stack, execution):
        details = event.get("taskSubmittedEventDetails")
        answer = json.loads(details.get("output", "{}")) if details else {}
        if "JobName" in answer:
            step = answer["JobName"].removesuffix(f"-{run}")
            found.append(Submitted(step, answer["JobId"], 1 + sum(job.step == step for job in found)))
    return found


def _history(stack: Stack, execution: str) -> Iterator[dict[str, Any]]:
    request = {"executionArn": execution, "maxResults": 1000}
    while True:
        page: Any = stack.stepfunctions.get_execution_history(**request)  # type: ignore[arg-type]
        yield from page["events"]
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]


def described(stack: Stack, jobs: Sequence[Submitted]) -> dict[str, JobDetailTypeDef]:
    """By job id; Batch forgets jobs after some days."""
    ids = [job.job_id for job in jobs]
    pages = [stack.batch.describe_jobs(jobs=ids[at : at + 100])["jobs"] for at in range(0, len(ids), 100)]
    return {job["jobId"]: job for page in pages for job in page}


def lines(stack: Stack, execution: str, run: str, steps: Sequence[str]) -> list[Line]:
    """The newest try of each step, steps not yet submitted too."""
    jobs = submitted_jobs(stack, execution, run)
    details = described(stack, jobs)
    shown = {step: Line(step, "waiting") for step in steps}
    for job in jobs:
        shown[job.step] = _line(job, details.get(job.job_id))
    return list(shown.values())


def _line(job: Submitted, detail: JobDetailTypeDef | None) -> Line:
    if detail is None:
        return Line(job.step, "waiting", 0.0, job.number)
    started, stopped = detail.get("startedAt"), detail.get("stoppedAt")
    elapsed = ((stopped or time.time() * 1000) - started) / 1000 if started else 0.0
    return Line(job.step, STATES.get(detail["status"], "waiting"), max(0.0, elapsed), job.number)


def follow(stack: Stack, execution: str, run: str, steps: Sequence[str]) -> tuple[str, list[Line]]:
    """Until the execution closes; answers its status and what became of each job."""
    terminal = screen()
    told: dict[str, str] = {}
    with Live(console=terminal, refresh_per_second=8) if terminal.is_terminal else nullcontext() as live:
        while True:
            status = stack.stepfunctions.describe_execution(executionArn=execution)["status"]
            shown = lines(stack, execution, run, steps)
            if live:
                live.update(_table(shown))
            else:
                _tell_changes(shown, told)
            if status != "RUNNING":
                return status, shown
            time.sleep(stack.pause)


def _table(shown: Sequence[Line]) -> Table:
    table = Table.grid(padding=(0, 2))
    for line in shown:
        elapsed = seconds(line.elapsed) if line.elapsed else ""
        table.add_row(Text(line.step), Text(line.told, style=STYLES[line.state]), Text(elapsed))
    return table


def _tell_changes(shown: Sequence[Line], told: dict[str, str]) -> None:
    """For a pipe or a log: one line whenever a job's state changes."""
    for line in shown:
        if line.told != told.get(line.step, "waiting"):
            ended = f"  {seconds(line.elapsed)}" if line.state in {"done", "failed"} else ""
            say(f"{line.step:<10} {line.told}{ended}")
        told[line.step] = line.told


def stopped_following(stack: Stack, run: str) -> CliError:
    """After Ctrl-C where the run lives elsewhere and goes on."""
    return CliError(
        f"No longer following; the run goes on. `seqdrop status {run}{stack.option}` shows it, "
        f"`seqdrop stop {run}{stack.option}` ends it.",
        INTERRUPTED,
    )
