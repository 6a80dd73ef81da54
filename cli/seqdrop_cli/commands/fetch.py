"""Define `seqdrop fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import download, fetch
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.kinds import KindsOption
from seqdrop_cli.commands.parameters import AsJson, Region, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("fetch")
def fetch_command(
    what: Annotated[
        str | None, typer.Argument(metavar="RUN|SAMPLE", help="A run id, the beginning of one, 'latest', or a sample.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs with results.")] = False,
    only: KindsOption = "",
    with_crate: Annotated[
        bool, typer.Option("--crate", help="Describe inputs, jobs and results as an RO-Crate in the folder.")
    ] = False,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Files go to DIR/SAMPLE/RUN.")] = Path("results"),
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Download the results of runs."""
    kinds = download.parse_kinds(only)
    opened = stacks.open_stack(stack, region)
    files = fetch.fetch(opened, fetch.select(opened, what, every=every), results, kinds, with_crate=with_crate)
    if as_json:
        say_json(list(map(str, files)))
