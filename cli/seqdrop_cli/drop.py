"""`seqdrop run`: drop the FASTQs, wait for the pipeline to notice, follow, bring the results home."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqdrop.plan import steps
from seqdrop.plan.choices import Choices

from seqdrop_cli import reference, results, runs, upload
from seqdrop_cli.follow import Line, follow, stopped_following
from seqdrop_cli.placing import places
from seqdrop_cli.problem import Problem, os_sentence
from seqdrop_cli.reference import Source
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack
from seqdrop_cli.upload import Drop

NOTICED_WITHIN = 60  # seconds from the last byte to a run row: an event and a cold function take a few
GOOD = {"SUCCEEDED", "INCOMPLETE"}
SETTLED_WITHIN = 15  # seconds for the row to follow its execution


@dataclass(frozen=True, slots=True)
class Order:
    """All that was asked for on the command line."""

    drop: Drop
    reference: str | None
    source: Source | None  # a genome to prepare first
    intervals: str
    args: dict[str, list[str]]
    prefix: str
    results: Path | None
    priority: str = "normal"


@dataclass(frozen=True, slots=True)
class Outcome:
    row: runs.Row
    lines: list[Line]
    files: list[Path]


def run(stack: Stack, order: Order) -> Outcome:
    """From files to files. Raises Problem when the run fails, after saying why."""
    name = _reference(stack, order)
    lanes = len(order.drop.pairs)
    choices = Choices(order.reference or "", order.intervals, order.args, lanes, order.priority)
    if order.source:
        choices = replace(choices, reference=name)
    run_id = _dropped(stack, order, choices, replace(choices, reference=name))
    with _goes_on(stack, run_id):
        row = _noticed(stack, run_id)
    row, lines = followed(stack, run_id, runs.execution_of(row))
    return Outcome(row, lines, _fetched(stack, order, row))


def followed(stack: Stack, run_id: str, execution: str) -> tuple[runs.Row, list[Line]]:
    """To the end of a run: its row, and what became of each job. Raises Problem when it fails, after saying why."""
    status, lines = _followed(stack, execution, run_id)
    row = _settled(stack, run_id, execution, status)
    if row["status"] not in GOOD:
        runs.explain(stack, row)
        raise Problem(f"\nRun {run_id} of {row.get('sample', '?')} ended as {row['status']}.")
    return row, lines


def _reference(stack: Stack, order: Order) -> str:
    if order.source is None:
        return reference.resolve(stack, order.reference)
    say(f"Preparing reference {order.source.name}")
    reference.show(order.source.name, reference.prepare(stack, order.source))
    return order.source.name


def _dropped(stack: Stack, order: Order, choices: Choices, resolved: Choices) -> str:
    """Upload, unless these very files with these very choices are there and were run; answers the run's id."""
    metadata = choices.to_metadata()
    genome = reference.fingerprint(stack, resolved.reference)
    for place in places(stack, order.drop, order.prefix, metadata):
        if not place.is_full:
            run_id = upload.run_id(stack, order.drop, place.fill(stack, metadata), resolved, genome)
            say(f"Run {run_id}: {len(place.files)} files of {order.drop.sample} are in s3://{stack['FastqBucket']}")
            return run_id
        run_id = upload.run_id(stack, order.drop, place.stored(), resolved, genome)
        row = runs.row_of(stack, run_id)
        if row and row["status"] in {*GOOD, "RUNNING"}:
            say(f"These files were dropped before: that is run {run_id}, {row['status'].lower()}.")
            return run_id
    raise Problem("These files were dropped a hundred times and every run failed: `seqdrop why latest` says why.")


def _noticed(stack: Stack, run_id: str) -> runs.Row:
    """The run's row once there is one, or what stands for it while its execution is only just known."""
    execution = runs.execution_arn(stack, run_id)
    deadline = time.monotonic() + NOTICED_WITHIN
    while time.monotonic() < deadline:
        if (row := runs.row_of(stack, run_id)) and (row.get("execution") or row["status"] != "RUNNING"):
            return _accepted(stack, row)
        if stack.status_of(execution):
            return {"run": run_id, "execution": execution, "status": "RUNNING"}
        time.sleep(stack.pause)
    raise Problem(
        f"The files arrived but no run began within {NOTICED_WITHIN} s: look at the log of the start_run function "
        f"and at its dead letter queue; `seqdrop status{stack.option}` shows the run should it still begin."
    )


def _accepted(stack: Stack, row: runs.Row) -> runs.Row:
    if not row.get("execution"):
        runs.explain(stack, row)
        raise Problem(f"\nRun {row['run']} was refused before anything was started.")
    return row


def _followed(stack: Stack, execution: str, run_id: str) -> tuple[str, list[Line]]:
    with _goes_on(stack, run_id):
        return follow(stack, execution, run_id, steps.names())


@contextmanager
def _goes_on(stack: Stack, run_id: str) -> Iterator[None]:
    """From its last byte on a drop becomes a run, whether anybody looks on or not."""
    try:
        yield
    except KeyboardInterrupt:
        if stack.ends_with_us:
            raise
        raise stopped_following(stack, run_id) from None


def _settled(stack: Stack, run_id: str, execution: str, status: str) -> runs.Row:
    """The row after the execution closed; an abort reaches it by an event, a moment later."""
    deadline = time.monotonic() + SETTLED_WITHIN
    row: runs.Row = {}
    while time.monotonic() < deadline:
        row = runs.row_of(stack, run_id) or {}
        if row.get("status", "RUNNING") != "RUNNING":
            return row
        time.sleep(stack.pause)
    return {"run": run_id, **row, "status": status, **_execution_error(stack, execution)}


def _execution_error(stack: Stack, execution: str) -> dict[str, str]:
    """What the execution itself ended with, where its row was never closed."""
    ended: Any = stack.stepfunctions.describe_execution(executionArn=execution)
    return {"class": ended.get("error", ""), "message": ended.get("cause", "")}


def _fetched(stack: Stack, order: Order, row: runs.Row) -> list[Path]:
    folder = order.results or Path("results") / order.drop.sample / str(row["run"])
    took = runs.took(row)
    ended = f"Run {row['run']} {str(row['status']).lower()}{f' in {took}' if took else ''}"
    try:
        files = results.fetch(stack, row, folder)
    except OSError as error:
        raise Problem(f"{ended}; its results stay at {row['results']}: {os_sentence(error)}") from None
    say(f"{ended}:", style="green")
    results.show(files)
    if row["status"] == "INCOMPLETE":
        runs.explain(stack, row)
    return files


def step_words(given: Sequence[str]) -> dict[str, list[str]]:
    """`align=--no-mark-duplicates` -> {"align": ["--no-mark-duplicates"]}; raises Problem."""
    words: dict[str, list[str]] = {}
    for text in given:
        step, _, rest = text.partition("=")
        if step not in steps.names() or not rest.split():
            raise Problem(f"--args {text!r}: expected STEP=WORDS, STEP one of {', '.join(steps.names())}.")
        words[step] = [*words.get(step, []), *rest.split()]
    return words
