"""Define `seqdrop stop`."""

from __future__ import annotations

import typer

from seqdrop_cli import run_table, stop
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, RunName, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("stop")
def stop_command(run_name: RunName, as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """Stop a run and its jobs."""
    opened = stacks.open_stack(stack, region)
    stopped = stop.stop(opened, run_table.find(opened, run_name))
    if as_json:
        say_json(stopped)
