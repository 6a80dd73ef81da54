"""Define `seqdrop verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import download, run_table, verify
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.kinds import KindsOption
from seqdrop_cli.commands.parameters import AsJson, Region, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("verify")
def verify_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|RUN", help="A folder of downloaded results (needs no network), a run id, or a sample."
        ),
    ],
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read every byte of the results in S3, instead of comparing the checksums of S3."),
    ] = False,
    only: KindsOption = "",
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Check that the results of a run exist and are unchanged.

    Exit code 1: an output is missing or was changed.
    """
    kinds, folder = download.parse_kinds(only), Path(what)
    if folder.is_dir():
        result = verify.verify_folder(folder, kinds)
    else:
        opened = stacks.open_stack(stack, region)
        result = verify.verify_run(opened, run_table.find(opened, what), kinds, deep=deep)
    if as_json:
        say_json(result.to_json())
    verify.show(result)
