"""Define `seqdrop check`."""

from __future__ import annotations

from typing import Annotated

import typer

from seqdrop_cli import stack as stacks
from seqdrop_cli.check import command as check
from seqdrop_cli.commands.parameters import AsJson, Region, StackName

app = typer.Typer()


@app.command("check")
def check_command(
    submit: Annotated[
        bool, typer.Option("--submit", help="Submit a job that prints its help and ends: about a cent on AWS.")
    ] = False,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Check that a stack can run the pipeline; say what is missing.

    Quotas, images, default reference, buckets, subscriptions, job queues. Only --submit starts anything.
    """
    check.check(stacks.open_stack(stack, region), submit=submit, as_json=as_json)
