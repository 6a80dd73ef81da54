"""`seqdrop cost` and `seqdrop suggest`: what attempts of jobs cost, and what they used of their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from seqdrop.runs import attempts, cost, sizes
from seqdrop.runs.prices import AWS_SPOT
from seqdrop.runs.table import OF_RUNS, Row
from seqdrop.text import format_exact_usd, format_seconds

from seqdrop_cli import run_table
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import console, new_table, say, short_seconds
from seqdrop_cli.stack import Stack

GROUPS = ("sample", "step", "queue")
SHORT_ID = 8  # letters of a run in a table
OF_ATTEMPT = ("step", "try", "number", "queue", "instance", "queued", "time", "peak", "exit", "class", "price")


def select(stack: Stack, name: str, since: str) -> list[Row]:
    """Return the row of a run, or the rows of all runs since a time, the newest first; raise CliError."""
    if name and since:
        raise CliError("--since selects from all runs: leave out RUN.")
    if name:
        return [run_table.find(stack, name)]
    return list(run_table.rows(stack, since=run_table.parse_since(since) if since else "", statuses=OF_RUNS))


def read(stack: Stack, runs: Sequence[Row]) -> list[Row]:
    """Return the rows of the attempts of these runs, each with its sample."""
    return list(attempts.of_runs(runs, stack.attempts))


def show(runs: Sequence[Row], rows: Sequence[Row], by: str) -> dict[str, Any]:
    """Print the price of runs: of each attempt of one, of each run of several, or of each group; return the sums."""
    if by or len(runs) != 1:
        _show_groups(cost.by(by or "run", rows), by or "run", rows)
    else:
        _show_attempts(rows)
    total, estimated = cost.total(rows), any(row.get("price") != AWS_SPOT for row in rows if "usd" in row)
    running = sum("usd" not in row for row in rows)
    more = (
        f"; {running} {'attempt' if running == 1 else 'attempts'} without a price yet, still running" if running else ""
    )
    say(f"Together: {format_exact_usd(total)}{' (estimated)' if estimated else ''}{more}")
    groups = {name: cost.by(name, rows) for name in ((by,) if by else (*GROUPS, "run"))}
    return {"usd": total, "estimated": estimated, "runs": len(runs), "running": running, "by": groups, "attempts": rows}


def _show_groups(groups: Mapping[str, Mapping[str, Any]], by: str, rows: Sequence[Row]) -> None:
    table = new_table(by, "attempts", "failed", "hours", "price")
    samples = {str(row["run"]): str(row.get("sample", "")) for row in rows}
    for value, group in groups.items():
        name = f"{value[:SHORT_ID]} {samples.get(value, '')}" if by == "run" else value or "(not known)"
        price = format_exact_usd(group["usd"])
        table.add_row(name, str(group["attempts"]), str(group["failed"]), f"{group['hours']:.2f}", price)
    console().print(table)


def _show_attempts(rows: Sequence[Row]) -> None:
    table = new_table(*OF_ATTEMPT)
    for row in rows:
        values = {
            **row,
            "instance": f"{row.get('instance_type', '')} {row.get('life_cycle', '')}".strip(),
            "queued": short_seconds(float(row["queued"])) if "queued" in row else "",
            "time": format_seconds(float(row["seconds"])) if "seconds" in row else "running",
            "peak": f"{row['peak_memory']} of {row['memory']} MiB" if "peak_memory" in row else "",
            "price": format_exact_usd(row["usd"]) if "usd" in row else "",
        }
        table.add_row(*(str(values.get(name, "")) for name in OF_ATTEMPT))
    console().print(table)


def suggest(stack: Stack, rows: Sequence[Row]) -> dict[str, Any]:
    """Print what each step was given and has used, and the parameters to change; return both."""
    uses = sizes.use_of(rows)
    changes = sizes.suggest(uses, stack.parameters)
    table = new_table("step", "attempts", "memory", "most used", "vCPUs", "most used", "scratch", "time")
    for use in uses:
        memory, peak, scratch = (f"{value:,} MiB" for value in (use.memory, use.peak_memory, use.scratch))
        used = f"{use.used_vcpus:.1f}"
        table.add_row(use.step, str(use.attempts), memory, peak, str(use.vcpus), used, scratch, f"{use.minutes:g} min")
    console().print(table)
    if changes:
        say("Change these parameters (with a quarter more than was ever used):", style="bold")
    for name, value in changes.items():
        say(f"  {name}={value}  (now {stack.parameters[name]})")
    if not changes:
        say(f"No size is worth a change: it takes {sizes.MIN_ATTEMPTS} attempts of a step that use at most "
            f"{sizes.MIN_GAIN / sizes.RESERVE:.0%} of it, or one that ran out of memory.")  # fmt: skip
    return {"steps": [asdict(use) for use in uses], "parameters": changes}
