"""`seqdrop joint`: join the variants of several samples into one VCF, follow the run, download its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.plan import joint
from seqdrop.runs.outcome import WITH_RESULTS
from seqdrop.runs.table import RUNNING, Row

from seqdrop_cli import download, fetch, run, run_table, why
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def run_joint(stack: Stack, texts: Sequence[str], name: str, reference: str, results: Path) -> Row:
    """Join runs, named by sample or id; return the row of the joint run. Raise CliError if it is refused or fails."""
    members = [_member(stack, text) for text in texts]
    name = name or joint.default_name([str(row["sample"]) for row in members])
    if not name:
        raise CliError("The ids of the samples are too long for a name: give the joint run one with --name.")
    _check_name(stack, name)
    download.create_folder(results)
    run_id = _request(stack, {"name": name, "runs": [row["run"] for row in members], "reference": reference})
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


def _member(stack: Stack, text: str) -> Row:
    """Return the row of a run: that with this id, or the newest one of a sample that has results. Raise CliError."""
    runs = (row for row in run_table.rows(stack, text, statuses=WITH_RESULTS) if row.get("kind") != joint.KIND)
    if row := run_table.get(stack, text) or next(runs, None):
        return row
    raise CliError(f"{text} is no sample with results and no id of a run: `seqdrop status{stack.option}` lists them.")


def _check_name(stack: Stack, name: str) -> None:
    """Raise CliError for the name of a sample: its newest run would be mistaken for the joint one."""
    if any(row.get("kind") != joint.KIND for row in run_table.rows(stack, name)):
        raise CliError(f"{name} is a sample with runs of its own: give the joint run another --name.")


def _request(stack: Stack, request: dict[str, object]) -> str:
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
