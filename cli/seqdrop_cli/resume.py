"""`seqdrop resume`: continue a run that failed or was stopped. Steps that are done are not repeated."""

from __future__ import annotations

import json

from seqdrop.runs.table import Row

from seqdrop_cli import run, why
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def resume(stack: Stack, row: Row, *, detach: bool = False) -> None:
    """Resume a run and, unless `detach`, follow it to its end; raise CliError if it fails again."""
    run_id = str(row["run"])
    try:
        execution = _request_resume(stack, run_id)
    except KeyboardInterrupt:
        raise CliError(
            f"Interrupted: `seqdrop status {run_id}{stack.option}` shows whether the run was resumed.", INTERRUPTED_EXIT
        ) from None
    say(f"Run {run_id} of {row.get('sample', '?')} is resumed; steps that are done are not repeated.")
    if detach:
        say(f"`seqdrop status {run_id}{stack.option}` shows it.")
        return
    row, _ = run.follow_run(stack, run_id, execution)
    say(f"Run {run_id} {str(row['status']).lower()}: {row.get('results', '')}", style="green")
    if row["status"] == "INCOMPLETE":
        why.explain(stack, row)


def _request_resume(stack: Stack, run_id: str) -> str:
    """Ask start_run to resume a run: only this function starts executions. Return the ARN; raise CliError."""
    answer = stack.functions.invoke(FunctionName=stack["StartRunFunction"], Payload=json.dumps({"resume": run_id}))
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise CliError(f"Run {run_id} could not be resumed: see the log of the function start_run, then try again.")
    [outcome] = payload["outcomes"]
    if outcome["outcome"] != "resumed":
        raise CliError(f"Run {run_id} cannot be resumed: {outcome['reason']}.")
    return str(outcome["execution"])
