"""Define `seqdrop down`."""

from __future__ import annotations

from typing import Annotated

import typer

from seqdrop_cli import embedded, saved_references
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say, say_json

app = typer.Typer()


@app.command("down")
def down_command(
    everything: Annotated[bool, typer.Option("--all", help="Delete the references too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the embedded AWS and delete all runs; references are kept."""
    server = embedded.running()
    kept = [] if everything or not server else saved_references.save(stacks.local(server))
    if everything:
        saved_references.forget()
    if server:
        embedded.stop(server)
        but = f" but {', '.join(kept)}, which the next `seqdrop up` has" if kept else ""
        say(f"The embedded AWS is down. Everything in it was deleted{but}.")
    elif embedded.state_file().exists():
        embedded.clean_up()
        say("The embedded AWS had ended by itself: what it left is removed.")
    else:
        raise CliError("No embedded AWS is up: there is nothing to stop.")
    if as_json:
        say_json({"endpoint": server.endpoint if server else None, "kept": kept})
