"""Define `seqdrop resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import resume, run_table
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, MaxCostOption, Region, RunName, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("resume")
def resume_command(
    run_name: RunName,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the run.")] = False,
    max_cost: MaxCostOption = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Results go to DIR/SAMPLE/RUN.")] = Path("results"),
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Resume a run that failed or was stopped.

    Steps that are done are not repeated. The results are downloaded.
    """
    opened = stacks.open_stack(stack, region)
    found = run_table.find(opened, run_name)
    row = resume.resume(opened, found, detach=detach, results=results, max_cost=max_cost or "")
    if as_json:
        say_json(row)
