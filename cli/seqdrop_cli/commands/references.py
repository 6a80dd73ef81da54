"""Define `seqdrop references`."""

from __future__ import annotations

import typer

from seqdrop_cli import reference_list
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, StackName
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("references")
def references_command(as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """List the prepared references: size, indexes, genes, panels."""
    opened = stacks.open_stack(stack, region)
    references = reference_list.read_all(opened)
    say_json(references) if as_json else reference_list.show(references, opened.option)
