"""Define `seqdrop logs`."""

from __future__ import annotations

from typing import Annotated

import typer
from seqdrop.plan import steps

from seqdrop_cli import logs, run_table
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import Region, RunName, StackName, move_messages

app = typer.Typer()


@app.command("logs")
def logs_command(
    run_name: RunName,
    step: Annotated[
        str | None,
        typer.Argument(
            metavar="STEP",
            autocompletion=steps.every_name,
            help=f"One of {', '.join(steps.every_name())}. Default: all steps.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Print the lines as they come, with the progress, until the run ends."),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--json", callback=move_messages, help="Print the JSON lines of the jobs unchanged.")
    ] = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Print the logs of a run's jobs."""
    opened = stacks.open_stack(stack, region)
    show = logs.follow_logs if follow else logs.show_logs
    show(opened, run_table.find(opened, run_name), step, raw=raw)
