"""Show the samples that a command is about to run as a table, and ask."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer
from rich.table import Table

from seqdrop_cli import estimates
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import console, say
from seqdrop_cli.stack import Stack

UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Planned:
    """A sample of the table."""

    sample: str
    lanes: Sequence[str]  # and the layout, where it is not that of pairs
    size: int  # bytes of its FASTQs
    reference: str
    aligner: str
    caller: str


def show(stack: Stack, planned: Sequence[Planned]) -> None:
    """Print the table, with the time and the price that earlier runs of this stack suggest."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("sample", "lanes", "size", "reference", "tools", "price", "time"):
        table.add_column(heading, overflow="fold")
    known = {key: estimates.rates(stack, **dict(zip(estimates.SAME, key, strict=True))) for key in map(_key, planned)}
    for one in planned:
        rates = known[_key(one)]
        cells = (
            one.sample,
            ", ".join(filter(None, one.lanes)),
            format_size(one.size),
            one.reference,
            f"{one.aligner}, {one.caller}",
        )
        table.add_row(*cells, rates.describe_price(one.size), rates.describe_time(one.size))
    console().print(table)
    runs = sum(rates.runs for rates in known.values())
    earlier = f"estimated from {runs} earlier run{'' if runs == 1 else 's'}"
    basis = earlier if runs else "? until a run with this reference and tools has ended"
    samples = "1 sample" if len(planned) == 1 else f"{len(planned)} samples"
    say(f"{samples}, {format_size(sum(one.size for one in planned))}; price and time: {basis}")


def confirm(*, yes: bool) -> None:
    """Ask whether to go on, unless `yes`; raise CliError if not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError("Nothing was started: without a terminal, give --yes to run these samples.")
    if not typer.confirm("Run these samples?"):
        raise CliError("Nothing was started.")


def format_size(size: float) -> str:
    """Format a number of bytes with three digits: `1.23 GB`."""
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            break
        size /= 1000
    return f"{size:.3g} {unit}"


def _key(one: Planned) -> tuple[str, str, str]:
    return one.reference, one.aligner, one.caller
