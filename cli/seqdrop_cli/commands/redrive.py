"""Define `seqdrop redrive`."""

from __future__ import annotations

import typer

from seqdrop_cli import redrive
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("redrive")
def redrive_command(as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """Send events in the dead letter queue to their functions again."""
    sent = redrive.redrive(stacks.open_stack(stack, region))
    if as_json:
        say_json(sent)
