"""Define `seqdrop qc`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import qc
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, StackName, check_value
from seqdrop_cli.errors import CommandGroup
from seqdrop_cli.screen import say_json

app = typer.Typer()
policies = typer.Typer(cls=CommandGroup, help="Check QC policies.", no_args_is_help=True)
app.add_typer(policies, name="qc")


@policies.command("check")
def qc_check_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A QC policy in YAML: limits for the figures of a run.")],
    upload_to: Annotated[
        str | None,
        typer.Option("--reference", callback=check_value, help="Upload it beside this reference, for all its runs."),
    ] = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Check a QC policy; with --reference, upload it there: runs that fail it end as QC_FAILED."""
    rules = qc.check(file)
    if upload_to:
        qc.upload(stacks.open_stack(stack, region), file, upload_to)
    if as_json:
        say_json(rules)
