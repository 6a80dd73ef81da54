"""Define `seqdrop status`."""

from __future__ import annotations

from typing import Annotated

import typer

from seqdrop_cli import run_table, status
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, Since, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("status")
def status_command(
    run_name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|SAMPLE",
            help="A run id, the beginning of one, or 'latest': shows it. A sample: lists its runs. Default: all runs.",
        ),
    ] = None,
    since: Since = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that lack results.")] = False,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """List the runs, the newest first, or show one."""
    opened = stacks.open_stack(stack, region)
    selected = run_table.select(opened, run_name or "", since or "", failed=failed)
    if isinstance(selected, dict):
        say_json(selected) if as_json else status.show_run(selected)
    else:
        say_json([*selected]) if as_json else status.show_list(selected)
