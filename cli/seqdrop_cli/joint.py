"""`seqdrop joint`: join the variants of several samples into one VCF, follow the run, download its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seqdrop.plan import joint
from seqdrop.plan.choices import BudgetError, Choices
from seqdrop.runs.outcome import WITH_RESULTS
from seqdrop.runs.table import RUNNING, Row

from seqdrop_cli import download, fetch, run, run_table, why
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def run_joint(stack: Stack, texts: Sequence[str], name: str, choices: Choices, results: Path) -> Row:
    """Join runs, named by sample or id; return the row of the joint run. Raise CliError if it is refused or fails.

    `choices` has the reference that all must have ("" for any), the priority and the budget.
    """
    _check_budget(stack, choices)
    members = [_member(stack, text) for text in texts]
    name = name or joint.default_name([str(row["sample"]) for row in members])
    if not name:
        raise CliError("The ids of the samples are too long for a name: give the joint run one with --name.")
    _check_name(stack, name)
    download.create_folder(results)
    chosen = {"reference": choices.reference, "priority": choices.priority, "max_cost": choices.max_cost}
    request = {"name": name, "runs": [row["run"] for row in members]}
    run_id = _request(stack, request | {word: value for word, value in chosen.items() if value})
    started = run_table.get(stack, run_id) or {}
    if started.get("status") not in {RUNNING, *WITH_RESULTS}:
        why.explain(stack, started)
        again = f"`seqdrop resume {run_id}{stack.option}`"
        raise CliError(f"\nThese samples were joined before, as run {run_id}, which failed: {again}.")
    say(f"Run {run_id}: {len(members)} samples as {name}")
    row, _ = run.follow_run(stack, run_id, run_table.execution_of(started))
    fetch.fetch(stack, [row], results)
    for warning in row.get("warnings", ()):
        say(f"Warning from {warning}", style="yellow")
    return row


def _check_budget(stack: Stack, choices: Choices) -> None:
    """Raise CliError for a budget above the limit of the stack."""
    try:
        choices.check_budget(stack.max_run_cost)
    except BudgetError as error:
        raise CliError(f"{error.option}: {error}.") from None


def _member(stack: Stack, text: str) -> Row:
    """Return the row of a run: that with this id, or the newest one of a sample that has results. Raise CliError."""
    runs = (row for row in run_table.rows(stack, text, statuses=WITH_RESULTS) if row.get("kind") != joint.KIND)
    if row := run_table.get(stack, text) or next(runs, None):
        return row
    raise CliError(
        f"{text}: no run has this id, and no sample of this name has results. `seqdrop status{stack.option}` lists all."
    )


def _check_name(stack: Stack, name: str) -> None:
    """Raise CliError for the name of a sample: its newest run would be mistaken for the joint one."""
    if any(row.get("kind") != joint.KIND for row in run_table.rows(stack, name)):
        raise CliError(f"{name} is a sample with runs of its own: give the joint run another --name.")


def _request(stack: Stack, request: Mapping[str, object]) -> str:
    """Ask start_run to start the joint run; return the run. Raise CliError."""
    try:
        outcome = stack.ask_start_run({"joint": request}, "The joint run could not be started")
    except KeyboardInterrupt:
        raise CliError(
            f"Interrupted: `seqdrop status{stack.option}` shows whether the joint run was started.", INTERRUPTED_EXIT
        ) from None
    if outcome["outcome"] == "refused":
        raise CliError(f"These samples cannot be joined: {outcome['reason']}.")
    return str(outcome["run"])
