"""Define `seqdrop submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import stack as stacks
from seqdrop_cli import submit
from seqdrop_cli.commands.parameters import AsJson, Region, StackName, Yes
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("submit")
def submit_command(
    sheet: Annotated[
        Path, typer.Argument(metavar="SHEET.csv", help="A samplesheet in the columns of nf-core/sarek, or of Illumina.")
    ],
    prefix: Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the bucket to upload to.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the sheet, show its samples, and end.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Start one run for each sample of a samplesheet.

    The sheet is checked first, then its local FASTQs are uploaded. Exit code 65: it has problems, nothing was started.
    """
    rows = submit.submit(stacks.open_stack(stack, region), sheet, prefix, dry_run=dry_run, yes=yes)
    if as_json:
        say_json(rows)
