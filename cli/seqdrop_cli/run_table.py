"""Find runs in the run table, by queries: a stack may have many thousand rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any

from botocore.exceptions import ClientError
from seqdrop.runs import table
from seqdrop.runs.table import Row

from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack

LATEST = "latest"
MAX_MATCHES = 5  # that an error lists
MAX_SEARCHED = 1_000  # newest rows in which a run is searched by the beginning of its id
EVERY = table.OF_RUNS | table.OF_FILES
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def get(stack: Stack, run: str) -> Row | None:
    """Return the row of a run; None if there is none."""
    return table.get(run, stack.table)


def rows(stack: Stack, sample: str = "", since: str = "", statuses: frozenset[str] = EVERY) -> Iterator[Row]:
    """Yield the rows of all runs and files, or of one sample, the newest first; `since` is a time as in rows."""
    with _clear_errors(stack):
        if sample:
            yield from (row for row in table.of_sample(sample, stack.table, since) if row["status"] in statuses)
        else:
            yield from table.newest(statuses, stack.table, since)


def select(stack: Stack, text: str, since: str, *, failed: bool) -> Row | Iterator[Row]:
    """Return the row of the run that `text` names; for a sample, or without a name, an iterator of rows.

    `since` is an argument for `parse_since`, or "". Raises CliError.
    """
    selected = rows(stack, text, parse_since(since) if since else "", table.FAILED if failed else EVERY)
    if not text or (text != LATEST and get(stack, text) is None and next(rows(stack, text), None)):
        return selected
    if since or failed:
        raise CliError("--since and --failed select from a list of runs: leave out RUN, or name a sample.")
    return find(stack, text)


def parse_since(text: str) -> str:
    """Return the time of `2d`, `3h` (ago) or `2026-03-01`, in UTC as rows have it; raise CliError."""
    if match := re.fullmatch(r"(\d{1,5})([mhdw])", text):
        time = datetime.now(UTC) - int(match[1]) * UNITS[match[2]]
    else:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise CliError(f"--since {text!r}: expected a time such as 2d, 3h, 30m, 1w or 2026-03-01.") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find(stack: Stack, text: str) -> Row:
    """Return the row of a run by its id, the beginning of it, or `latest`; for a sample its newest. Raise CliError."""
    if text == LATEST:
        if row := _newest(stack):
            return row
        raise CliError(f"Stack {stack.name} has no runs yet: `seqdrop run{stack.option}` starts one.")
    return get(stack, text) or _newest(stack, text) or _find_by_beginning(stack, text)


def _newest(stack: Stack, sample: str = "") -> Row | None:
    """Return the row of the newest run; without runs, that of the newest file that waits or is ignored."""
    runs, files = (rows(stack, sample, statuses=statuses) for statuses in (table.OF_RUNS, table.OF_FILES))
    return next(chain(runs, files), None)


def _find_by_beginning(stack: Stack, text: str) -> Row:
    newest = islice(rows(stack), MAX_SEARCHED)
    matches = [row for row in newest if str(row["run"]).startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        runs = ", ".join(str(row["run"]) for row in matches[:MAX_MATCHES])
        raise CliError(f"{len(matches)} runs begin with {text}: {runs}. Give more letters of the id.")
    raise CliError(
        f"Stack {stack.name} has no run or sample {text}: `seqdrop status{stack.option}` lists the runs. "
        f"(The beginning of an id finds only one of the newest {MAX_SEARCHED:,} runs.)"
    )


@contextmanager
def _clear_errors(stack: Stack) -> Iterator[None]:
    """Raise CliError if the table has no index for a query: the stack was deployed with an older template."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException" or "index" not in str(error):
            raise
        raise CliError(
            f"The run table of stack {stack.name} has no index by sample: deploy this version, or give the id of a run."
        ) from None


def execution_of(row: Mapping[str, Any]) -> str:
    """Return the ARN of a run's execution; raise CliError if the run was refused before it started."""
    if not row.get("execution"):
        raise CliError(f"Run {row['run']} was not started: {row.get('message') or 'it was refused'}")
    return str(row["execution"])
