"""`seqdrop status`: list the runs, or show one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text
from seqdrop.runs.table import Row
from seqdrop.text import count_warnings

from seqdrop_cli.screen import console, format_seconds, say, visible

MAX_ROWS = 20  # of the list; --json has all
STYLES = {"RUNNING": "cyan", "SUCCEEDED": "green", "INCOMPLETE": "yellow", "WAITING": "yellow", "IGNORED": "dim"}
ATTRIBUTES = ("run", "sample", "status", "started", "finished", "duration", "step", "class", "message", "advice",
              "results", "execution")  # fmt: skip


def show_list(rows: Sequence[Row]) -> None:
    """Print a table of runs."""
    if not rows:
        say("No runs yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "sample", "status", "started", "duration", "class"):
        table.add_column(heading, no_wrap=heading in {"run", "status"}, overflow="fold")
    for row in rows[:MAX_ROWS]:
        colored = Text(visible(describe_status(row)), status_style(row))
        started, failure_class = format_minute(row.get("started")), str(row.get("class") or "")
        table.add_row(str(row["run"]), str(row.get("sample", "")), colored, started, duration(row), failure_class)
    console().print(table)
    if len(rows) > MAX_ROWS:
        say(f"... and {len(rows) - MAX_ROWS} older ones; --json lists all")


def show_run(row: Mapping[str, Any]) -> None:
    """Print the attributes of a run."""
    values = {**row, "status": describe_status(row), "duration": duration(row)}
    for name in ATTRIBUTES:
        if values.get(name):
            say(f"{name:<10} {values[name]}")
    for warning in row.get("warnings", ()):
        say(f"{'warning':<10} {warning}", style="yellow")


def describe_status(row: Mapping[str, Any]) -> str:
    """Return the status of a run with the number of its warnings: `SUCCEEDED, 1 warning`."""
    return f"{row.get('status', '?')}{count_warnings(len(row.get('warnings', ())), ', ')}"


def status_style(row: Mapping[str, Any]) -> str:
    """Return the colour of the status of a run: yellow if a person should read its warnings."""
    status = str(row.get("status"))
    return "yellow" if status == "SUCCEEDED" and row.get("warnings") else STYLES.get(status, "red")


def duration(row: Mapping[str, Any]) -> str:
    """Return the time from the start of a run to its end; "" if it has not ended."""
    if not row.get("started") or not row.get("finished"):
        return ""
    started, finished = (datetime.fromisoformat(str(row[name])) for name in ("started", "finished"))
    return format_seconds((finished - started).total_seconds())


def format_minute(time: Any) -> str:
    """Format a time of a row without its seconds: `2026-03-01 10:00`."""
    return str(time or "")[:16].replace("T", " ")
