"""Find runs in the run table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqdrop.runs import table
from seqdrop.runs.table import Row

from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack

LATEST = "latest"
MAX_MATCHES = 5  # that an error lists


def get(stack: Stack, run: str) -> Row | None:
    """Return the row of a run; None if there is none."""
    return table.get(run, stack.table)


def rows(stack: Stack) -> list[Row]:
    """Return the rows of all runs, newest first."""
    return sorted(table.every(stack.table), key=lambda row: str(row.get("started", "")), reverse=True)


def find(stack: Stack, text: str) -> Row:
    """Return the row of the run with this id, with an id that begins so, or of the `latest` run; raise CliError."""
    if text != LATEST and (row := get(stack, text)):
        return row
    newest = rows(stack)
    if not newest:
        raise CliError(f"Stack {stack.name} has no runs yet: `seqdrop run{stack.option}` starts one.")
    if text == LATEST:
        return next((row for row in newest if row["status"] not in table.OF_FILES), newest[0])
    matches = [row for row in newest if str(row["run"]).startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        runs = ", ".join(str(row["run"]) for row in matches[:MAX_MATCHES])
        raise CliError(f"{len(matches)} runs begin with {text}: {runs}. Give more letters of the id.")
    raise CliError(f"There is no run {text} in stack {stack.name}: `seqdrop status{stack.option}` lists all runs.")


def execution_of(row: Mapping[str, Any]) -> str:
    """Return the ARN of a run's execution; raise CliError if the run was refused before it started."""
    if not row.get("execution"):
        raise CliError(f"Run {row['run']} was not started: {row.get('message') or 'it was refused'}")
    return str(row["execution"])
