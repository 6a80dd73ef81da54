"""Show the samples that a command is about to run as a table, and ask."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import typer
from seqdrop.plan.forms import FormError
from seqdrop.plan.sheet import ALIGNMENTS
from seqdrop.runs.estimate import NO_RUNS, Estimate
from seqdrop.text import format_seconds, format_usd

from seqdrop_cli.errors import CliError
from seqdrop_cli.estimates import Estimator
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.screen import console, new_table, say
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
    alignment_format: str = ""  # "": as the stack
    form: str = ""  # the same
    alignments: str = ""  # bam or cram, if its files are not FASTQs

    @classmethod
    def of(cls, fastqs: Fastqs, **chosen: str) -> Planned:
        """Return the row of these FASTQs; `chosen` has what the run or the stack chose."""
        suffixes = {path.suffix.lower().removeprefix(".") for pair in fastqs.pairs for path in pair}
        row = cls(fastqs.sample, [*fastqs.lanes, fastqs.layout], fastqs.size, **chosen)
        return replace(row, alignments=next((word for word in ALIGNMENTS if word in suffixes), ""))

    @property
    def chosen(self) -> dict[str, str]:
        """What earlier runs must have in common with it, and what they should have."""
        must = {"reference": self.reference, "aligner": self.aligner, "caller": self.caller}
        return {**must, "alignment_format": self.alignment_format, "form": self.form}


def show(stack: Stack, planned: Sequence[Planned]) -> list[Estimate | None]:
    """Print the table, with the estimated time and price of each sample; return the estimates (None: none).

    Raise CliError for the first sample whose run would be refused.
    """
    table = new_table("sample", "lanes", "size", "reference", "tools", "price", "time")
    estimator = Estimator(stack)
    found = [_estimate(estimator, one) for one in planned]
    for one, each in zip(planned, found, strict=True):
        lanes = ", ".join(filter(None, one.lanes))
        cells = (one.sample, lanes, format_size(one.size), one.reference, f"{one.aligner}, {one.caller}")
        table.add_row(*cells, *((format_usd(each.usd), format_seconds(each.hours * 3600)) if each else ("?", "?")))
    console().print(table)
    known = ", ".join(dict.fromkeys(each.basis for each in found if each))
    basis = f"estimated from {known}" if known else "? until a run with this reference and tools has ended"
    samples = "1 sample" if len(planned) == 1 else f"{len(planned)} samples"
    say(f"{samples}, {format_size(sum(one.size for one in planned))}; price and time: {basis}")
    if any(each and not each.runs for each in found):
        say(f"No such run has ended yet. Nobody has compared the model of {NO_RUNS} with AWS: the price may be higher.")
    return found


def _estimate(estimator: Estimator, planned: Planned) -> Estimate | None:
    try:
        return estimator.of_run(planned.size, planned.chosen, has_alignments=bool(planned.alignments))
    except FormError as error:
        raise CliError(f"The run of {planned.sample} would be refused: {error}.") from None


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
