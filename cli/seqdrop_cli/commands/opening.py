"""Open the stack of a command, or start one for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seqdrop_cli import embedded
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import Executor
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack


@contextmanager
def open_or_start(
    name: str | None, region: str | None, executor: Executor, parameters: list[str] | None, *, needs_reference: bool
) -> Iterator[Stack]:
    """Open a stack; with no stack and no embedded AWS up, start an embedded AWS for this command."""
    if name and (parameters or executor != Executor.auto):
        raise CliError("--parameter and --executor are for the embedded AWS: `sam deploy` changes a deployed stack.")
    server = embedded.running()
    if server and not name:
        embedded.check_same(server, executor, parameters or ())
    if name or server:
        yield stacks.open_stack(name, region)
        return
    if needs_reference:
        raise CliError(
            "No embedded AWS is up, and a new one has no reference: give --reference GENOME.fa [--genes GENES.gtf], "
            "or run `seqdrop up` and `seqdrop reference` first."
        )
    with embedded.temporary(parameters or (), executor) as started:
        yield stacks.local(started, is_temporary=True)
