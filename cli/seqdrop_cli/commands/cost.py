"""Define `seqdrop cost`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from seqdrop_cli import costs
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, Since, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


class CostGroup(StrEnum):
    """The groups by which prices are added up."""

    sample = "sample"
    step = "step"
    queue = "queue"


@app.command("cost")
def cost_command(
    run_name: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Show the attempts of this run. Default: list the runs."),
    ] = None,
    since: Since = None,
    by: Annotated[CostGroup | None, typer.Option(help="Add up the prices.")] = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Show what runs cost: every attempt of every job."""
    opened = stacks.open_stack(stack, region)
    runs = costs.select(opened, run_name or "", since or "")
    sums = costs.show(runs, costs.read(opened, runs), by.value if by else "")
    if as_json:
        say_json(sums)
