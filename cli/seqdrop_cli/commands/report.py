"""Define `seqdrop report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import many_report, run_table
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, StackName
from seqdrop_cli.screen import say, say_json

app = typer.Typer()


@app.command("report")
def report_command(
    samples: Annotated[list[str] | None, typer.Argument(metavar="SAMPLE", help="Sample ids.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs.")] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="The runs since: 2d, 3h (ago), 2026-03-31.")] = "",
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the page.")] = Path("seqdrop-report"),
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Build one MultiQC page for many runs, with a table of them."""
    opened = stacks.open_stack(stack, region)
    chosen = many_report.select(run_table.rows(opened), samples or (), since, every=every)
    page = many_report.build(opened, chosen, output)
    say(f"{page} has {len(chosen):,} run{'' if len(chosen) == 1 else 's'}.", style="green")
    if as_json:
        say_json({"page": str(page), "runs": [row["run"] for row in chosen]})
