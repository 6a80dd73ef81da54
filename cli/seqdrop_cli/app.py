"""Define `seqdrop` itself. The module of each command is imported when its command is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from seqdrop import __version__
from seqdrop.log import logger
from typer.main import get_group

from seqdrop_cli import usage
from seqdrop_cli.errors import CommandGroup, interrupt_on_termination
from seqdrop_cli.screen import say

# In the order of the help. `seqdrop_cli.commands` has a module for each.
COMMANDS = ("up", "down", "reference", "references", "run", "submit", "joint", "fetch", "verify", "status", "why",
            "stop", "resume", "redrive", "logs", "demo", "check", "api", "report", "cost", "estimate", "suggest",
            "qc")  # fmt: skip


class Commands(Mapping[str, Any]):
    """The commands by name: iterating imports none of them."""

    def __getitem__(self, name: str) -> Any:
        """Return the command of this name; raise KeyError."""
        if name not in COMMANDS:
            raise KeyError(name)
        return load(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the command of this name, else `default`; a KeyError of its module is not hidden."""
        return load(name) if name in COMMANDS else default

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(COMMANDS)

    def __len__(self) -> int:
        """Return the number of commands."""
        return len(COMMANDS)


@cache
def load(name: str) -> Any:
    """Import the module of a command; return the command."""
    return get_group(import_module(f"seqdrop_cli.commands.{name}").app).commands[name]


class Seqdrop(CommandGroup):
    """`seqdrop` with all of its commands."""

    def __init__(self, **settings: Any) -> None:
        """Create the group; its commands are not imported."""
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment]  # they are only read


app = typer.Typer(
    cls=Seqdrop,
    epilog=usage.EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        say(f"seqdrop {__version__}")
        raise typer.Exit


@app.callback()
def seqdrop(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """FASTQs in, variants out: run the pipeline on this machine, or with --stack NAME on AWS."""


def main() -> None:
    """Run the command that was typed."""
    logger.setLevel("ERROR")  # a repeated transfer is logged for jobs, not for users
    interrupt_on_termination()
    app(prog_name="seqdrop")
