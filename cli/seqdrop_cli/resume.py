"""`seqdrop resume`: let a run that ended go on; what is done in it is not done again."""

from __future__ import annotations

import json

from seqdrop_cli import drop, runs
from seqdrop_cli.errors import INTERRUPTED, CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def resume(stack: Stack, row: runs.Row, *, detach: bool = False) -> None:
    """Start it again and, unless told to `detach`, follow it to its end. Raises CliError when it fails again."""
    run = str(row["run"])
    try:
        execution = _asked(stack, run)
    except KeyboardInterrupt:
        raise CliError(
            f"Interrupted: `seqdrop status {run}{stack.option}` says whether it goes on.", INTERRUPTED
        ) from None
    say(f"Run {run} of {row.get('sample', '?')} goes on; steps that are done end at once.")
    if detach:
        say(f"`seqdrop status {run}{stack.option}` shows it.")
        return
    row, _ = drop.followed(stack, run, execution)
    say(f"Run {run} {str(row['status']).lower()}: {row.get('results', '')}", style="green")
    if row["status"] == "INCOMPLETE":
        runs.explain(stack, row)


def _asked(stack: Stack, run: str) -> str:
    """start_run alone turns plans into executions; it answers with the execution, or why there is none."""
    answer = stack.functions.invoke(FunctionName=stack["StartRunFunction"], Payload=json.dumps({"resume": run}))
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise CliError(f"Run {run} could not be resumed; the log of the start_run function says why. Try again.")
    [outcome] = said["outcomes"]
    if outcome["outcome"] != "resumed":
        raise CliError(f"Run {run} cannot be resumed: {outcome['reason']}.")
    return str(outcome["execution"])
