"""Define `seqdrop suggest`."""

from __future__ import annotations

import typer

from seqdrop_cli import costs
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, Since, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("suggest")
def suggest_command(
    since: Since = None, as_json: AsJson = False, stack: StackName = None, region: Region = None
) -> None:
    """Suggest sizes of jobs, by what they have used."""
    opened = stacks.open_stack(stack, region)
    found = costs.suggest(opened, costs.read(opened, costs.select(opened, "", since or "")))
    if as_json:
        say_json(found)
