"""Define `seqdrop api`."""

from __future__ import annotations

from typing import Annotated

import typer

from seqdrop_cli import api
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AsJson, Region, StackName
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say, say_json

app = typer.Typer()


@app.command("api")
def api_command(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET or POST. Default: show the address.")] = "",
    path: Annotated[str, typer.Argument(metavar="PATH", help="Such as /runs or /ga4gh/wes/v1/runs.")] = "/",
    body: Annotated[str, typer.Option(metavar="JSON", help="The body of a POST.")] = "",
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Show the address of the HTTP API, or send it a request.

    Requests are signed with your credentials. Exit code 1: the API refused the request.
    """
    opened = stacks.open_stack(stack, region)
    if not method:
        address = {"endpoint": api.endpoint(opened), "page": api.link(opened)}
        say_json(address) if as_json else say(f"{address['endpoint']}\nIts page, for 15 minutes: {address['page']}")
        return
    status, text = api.call(opened, method, path, body)
    say_json(api.parse(text))
    if status >= 400:
        raise CliError(f"The API refused the request: {status}.")
