"""`seqdrop status`: list the runs, or show one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from rich.table import Table
from rich.text import Text
from seqdrop.runs.table import Row, seconds_of
from seqdrop.text import count_warnings, format_seconds, format_usd

from seqdrop_cli.screen import console, say, short_number, short_seconds, visible

MAX_ROWS = 20  # of the list; --json has all
WIDE = 120  # columns of a terminal that has place for whole ids
SHORT_ID, SHORT_FILE_ID = 8, 12  # letters: the commands find a row by the beginning of its id; `waiting-` has 8
STYLES = {"RUNNING": "cyan", "SUCCEEDED": "green", "INCOMPLETE": "yellow", "WAITING": "yellow", "IGNORED": "dim"}
COLUMNS = ("run", "sample", "state", "lanes", "reads", "depth", "calls", "time", "price", "ref", "age")
FOLDED = {"sample", "state", "ref"}  # over several lines, where a terminal is narrow
STATE_WIDTH = 10  # letters of INCOMPLETE, in a narrow terminal: warnings are on the next line
NUMBERS = {"lanes", "reads", "depth", "calls", "time", "price", "age"}
ATTRIBUTES = ("run", "sample", "samples", "status", "started", "finished", "duration", "layout", "lanes", "reads",
              "depth", "variants", "price", "reference", "aligner", "caller", "form", "parts", "step", "class",
              "message", "advice", "results", "execution")  # fmt: skip


def show_list(rows: Iterable[Row]) -> None:
    """Print a table of runs: as many as fit on a screen."""
    shown = list(islice(rows, MAX_ROWS + 1))
    if not shown:
        say("No runs yet, or none that match.")
        return
    console().print(_table(shown[:MAX_ROWS], wide=console().width >= WIDE))
    if len(shown) > MAX_ROWS:
        say("... and older ones: --since or a sample selects, --json lists all")


def _table(rows: Sequence[Row], *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in COLUMNS:
        justify: Any = "right" if name in NUMBERS else "left"
        width = STATE_WIDTH if name == "state" and not wide else None
        table.add_column(name, no_wrap=name not in FOLDED, overflow="fold", justify=justify, width=width)
    for row in rows:
        table.add_row(*_cells(row, whole=wide))
    return table


def _cells(row: Mapping[str, Any], *, whole: bool) -> list[str | Text]:
    """Return the texts of a row of the list, in the order of COLUMNS; values that a run does not have yet are empty."""
    facts = {**row, **facts_of(row)}
    run, failure_class = str(row["run"]), row.get("class", "") if whole else ""
    state = describe_status(row) + (f": {failure_class}" if failure_class else "")
    reads, calls = (short_number(row[name]) if name in row else "" for name in ("reads", "variants"))
    seconds = _seconds(row)
    return [
        run if whole else run[: SHORT_FILE_ID if "-" in run else SHORT_ID],
        str(row.get("sample", "")),
        Text(visible(state), status_style(row)),
        str(row.get("lanes", "")),
        reads,
        facts["depth"],
        calls,
        short_seconds(seconds) if seconds else "",
        facts["price"],
        str(row.get("reference", "")),
        _age(row),
    ]


def show_run(row: Mapping[str, Any]) -> None:
    """Print the attributes of a run."""
    values = {**row, **facts_of(row), "status": describe_status(row), "duration": duration(row)}
    values["samples"] = ", ".join(map(str, row.get("samples", ())))  # of a joint run
    for name in ATTRIBUTES:
        if values.get(name):
            say(f"{name:<10} {values[name]}")
    for warning in row.get("warnings", ()):
        say(f"{'warning':<10} {warning}", style="yellow")


def facts_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the numbers of a run with their units; "" for those that it does not have."""
    numbers = {name: f"{int(row[name]):,}" for name in ("reads", "variants") if name in row}
    depth, price = row.get("typical_depth"), row.get("cost")
    return {
        **numbers,
        "depth": f"{depth}x" if depth is not None else "",
        "price": format_usd(float(price)) if price is not None else "",
    }


def describe_status(row: Mapping[str, Any]) -> str:
    """Return the status of a run with the number of its warnings: `SUCCEEDED, 1 warning`."""
    return f"{row.get('status', '?')}{count_warnings(len(row.get('warnings', ())), ', ')}"


def status_style(row: Mapping[str, Any]) -> str:
    """Return the colour of the status of a run: yellow if a person should read its warnings."""
    status = str(row.get("status"))
    return "yellow" if status == "SUCCEEDED" and row.get("warnings") else STYLES.get(status, "red")


def duration(row: Mapping[str, Any]) -> str:
    """Return the time from the start of a run to its end; "" if it has not ended."""
    seconds = _seconds(row)
    return "" if seconds is None else format_seconds(seconds)


def _seconds(row: Mapping[str, Any]) -> float | None:
    """Return the seconds from the start of a run to its end; None if it has not ended."""
    if not row.get("started") or not row.get("finished"):
        return None
    return seconds_of(row)


def _age(row: Mapping[str, Any]) -> str:
    """Return the time since the start of a run."""
    started = row.get("started")
    if not started:
        return ""
    return short_seconds((datetime.now(UTC) - datetime.fromisoformat(str(started))).total_seconds())


def format_minute(time: Any) -> str:
    """Format a time of a row without its seconds: `2026-03-01 10:00`."""
    return str(time or "")[:16].replace("T", " ")
