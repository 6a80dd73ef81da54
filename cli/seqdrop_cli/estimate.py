"""`seqdrop estimate`: the price and the time of samples before they run; how good earlier estimates were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table
from seqdrop.runs import estimate
from seqdrop.runs.table import Row
from seqdrop.text import format_seconds, format_usd

from seqdrop_cli import folders, planned, run_table, samplesheet, submit
from seqdrop_cli.errors import CliError
from seqdrop_cli.estimates import ENDED
from seqdrop_cli.planned import Planned
from seqdrop_cli.screen import console, say
from seqdrop_cli.stack import Stack

SHOWN = 10  # runs of the history


def samples_of(stack: Stack, paths: Sequence[Path], chosen: Mapping[str, str]) -> list[Planned]:
    """Return the samples of FASTQs, of folders, or of one samplesheet; `chosen` holds where a sheet chooses nothing."""
    if len(paths) == 1 and paths[0].suffix.lower() == ".csv":
        return _of_sheet(stack, paths[0], chosen)
    return [Planned(one.sample, one.lanes, one.size, **chosen) for one in folders.group(paths)]


def _of_sheet(stack: Stack, path: Path, chosen: Mapping[str, str]) -> list[Planned]:
    samples = samplesheet.read(path)
    files = dict(samplesheet.files_of(path, samples))
    return [
        Planned(
            one.name,
            [lane.lane for lane in one.lanes],
            sum(submit.size_of(stack, files[text]) for lane in one.lanes for text in lane.files.values()),
            **{word: getattr(one.choices, word) or default for word, default in chosen.items()},
        )
        for one in samples
    ]


def show(stack: Stack, samples: Sequence[Planned]) -> dict[str, Any]:
    """Print the samples with their estimates, and the error of earlier ones; return all of it for programs."""
    found = planned.show(stack, samples)
    known = [each for each in found if each]
    if len(known) < len(samples):
        raise CliError(f"Stack {stack.name} has no parameters with prices and sizes: deploy it from this template.")
    error, compared, text = _errors(history(stack))
    usd, hours = sum(one.usd for one in known), sum(one.hours for one in known)
    say(f"Together: {format_usd(usd)} (estimated), {format_seconds(hours * 3600)} if they run one after the other.")
    say(text)
    listed = [
        {"sample": one.sample, "fastq_bytes": one.size, "usd": each.usd, "hours": each.hours, "from": each.basis}
        for one, each in zip(samples, known, strict=True)
    ]
    return {"samples": listed, "usd": usd, "hours": hours, "median_error": error, "compared_runs": compared}


def _errors(rows: Sequence[Row]) -> tuple[float | None, int, str]:
    """Return the median error of the price in rows, their number, and a sentence about price and time."""
    errors = estimate.errors(rows)
    price, time = estimate.median_error(errors), estimate.median_error(estimate.errors_of_time(rows))
    if price is None:
        return None, 0, "No run has ended since estimates are kept: their error is not known yet."
    runs = f"{len(errors)} run{'' if len(errors) == 1 else 's'}"
    of_time = f", of the time {time:.0%}" if time is not None else ""
    return price, len(errors), f"Median error of the price in the last {runs}: {price:.0%}{of_time}."


def history(stack: Stack) -> list[Row]:
    """Return the newest runs that succeeded and had an estimate before they started."""
    rows = (row for row in run_table.rows(stack, statuses=ENDED) if "estimated_usd" in row and "cost" in row)
    return list(islice(rows, SHOWN))


def show_history(stack: Stack) -> dict[str, Any]:
    """Print price and time of the last runs beside the estimate made before each; return them for programs."""
    rows = history(stack)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "sample", "size", "estimated", "price", "error", "estimated time", "time", "estimated from"):
        table.add_column(heading, overflow="fold")
    runs = [_compared(row) for row in rows]
    for row, one in zip(rows, runs, strict=True):
        times = (format_seconds(one[name] * 3600) for name in ("estimated_hours", "hours"))
        usd = (_exact(one[name]) for name in ("estimated_usd", "usd"))
        size, off = planned.format_size(one["fastq_bytes"]), f"{one['error']:.0%}" if one["error"] is not None else ""
        table.add_row(one["run"][:8], one["sample"], size, *usd, off, *times, str(row.get("estimated_from", "")))
    console().print(table)
    error, _, text = _errors(rows)
    say(text)
    return {
        "runs": runs,
        "median_error": error,
        "median_error_of_time": estimate.median_error(estimate.errors_of_time(rows)),
    }


def _compared(row: Row) -> dict[str, Any]:
    errors = estimate.errors([row])
    return {
        "run": str(row["run"]),
        "sample": str(row.get("sample", "")),
        "fastq_bytes": int(row["fastq_bytes"]),
        "estimated_usd": float(row["estimated_usd"]),
        "usd": float(row["cost"]),
        "error": errors[0] if errors else None,
        "estimated_hours": float(row["estimated_hours"]),
        "hours": estimate.hours_of(row),
    }


def _exact(usd: float) -> str:
    """Format a price that may be a fraction of a cent: the runs of a laptop are small."""
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}"
