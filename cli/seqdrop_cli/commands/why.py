"""Define `seqdrop why`."""

from __future__ import annotations

import typer

from seqdrop_cli import run_table, why
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, RunName, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("why")
def why_command(run_name: RunName, as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """Explain why a run failed, and what to do."""
    opened = stacks.open_stack(stack, region)
    row = run_table.find(opened, run_name)
    say_json(why.to_json(opened, row)) if as_json else why.explain(opened, row)
