"""Define `seqdrop up`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import embedded, preflight, saved_references
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Executor, ExecutorOption, Parameters
from seqdrop_cli.errors import warn
from seqdrop_cli.screen import say, say_json

app = typer.Typer()


@app.command("up")
def up_command(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
    inject: Annotated[
        Path | None, typer.Option(metavar="FAULTS.json", help="Faults to inject, see docs/fault-injection.md.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the embedded AWS and deploy the pipeline to it."""
    server = embedded.running()
    was_up = server is not None
    if server:
        embedded.check_same(server, executor, parameter or (), port, inject)
    else:
        options = ["--inject", str(inject.resolve())] if inject else ()
        server = embedded.start(port, executor, parameter or (), options)
        saved_references.restore(stacks.local(server))
    if as_json:
        say_json({**asdict(server), "stack": embedded.NAME})
        return
    how = "in Docker" if server.executor == "docker" else "as processes of this machine"
    say(f"The embedded AWS {'was already' if was_up else 'is'} up at {server.endpoint}; jobs run {how}.", style="green")
    embedded.show_addresses(server)
    stack = stacks.local(server)
    if lack := preflight.describe_lack(stack, server.executor, stack.default_tools):
        warn(lack)
