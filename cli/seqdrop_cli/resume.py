"""`seqdrop resume`: continue a run that failed or was stopped. Steps that are done are not repeated."""

from __future__ import annotations

from pathlib import Path

from seqdrop.runs.outcome import QC_FAILED
from seqdrop.runs.table import Row

from seqdrop_cli import fetch, run, why
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def resume(stack: Stack, row: Row, *, detach: bool = False, results: Path = Path("results"), max_cost: str = "") -> Row:
    """Resume a run and, unless `detach`, follow it and download its results; raise CliError if it fails again.

    `max_cost` is its new budget in USD; "" keeps the present one.
    Returns the row of the run; that of a run that is not followed has the run and its execution alone.
    """
    run_id = str(row["run"])
    try:
        started, execution = _request_resume(stack, run_id, max_cost)
    except KeyboardInterrupt:
        raise CliError(
            f"Interrupted: `seqdrop status {run_id}{stack.option}` shows whether the run was resumed.", INTERRUPTED_EXIT
        ) from None
    if started != run_id:
        say(f"Run {run_id} is started as run {started}: what it reads has changed since it was refused.")
    say(f"Run {started} of {row.get('sample', '?')} is resumed; steps that are done are not repeated.")
    run_id = started
    if detach:
        say(f"`seqdrop status {run_id}{stack.option}` shows it.")
        return {"run": run_id, "execution": execution}
    row, _ = run.follow_run(stack, run_id, execution)
    failed = row["status"] == QC_FAILED
    ending = str(row["status"]).lower().replace("_", " ")
    say(f"Run {run_id} {ending}: {row.get('results', '')}", style="bold red" if failed else "green")
    fetch.fetch(stack, [row], results)
    if row["status"] != "SUCCEEDED":
        why.explain(stack, row)
    if failed:
        raise CliError(f"\nRun {run_id} failed its quality control.", run.QC_EXIT)
    return row


def _request_resume(stack: Stack, run_id: str, max_cost: str) -> tuple[str, str]:
    """Ask start_run to resume a run; return run and ARN. Raise CliError.

    A run that was refused, and reads something else now, is started under another id.
    """
    request = {"resume": run_id, **({"max_cost": max_cost} if max_cost else {})}
    outcome = stack.ask_start_run(request, f"Run {run_id} could not be resumed")
    if outcome["outcome"] != "resumed":
        raise CliError(f"Run {run_id} cannot be resumed: {outcome['reason']}.")
    return str(outcome["run"]), str(outcome["execution"])
