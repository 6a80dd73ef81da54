"""`seqdrop fetch`: download the results of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.runs.outcome import WITH_RESULTS
from seqdrop.runs.table import Row

from seqdrop_cli import crate, download, run_table
from seqdrop_cli.errors import KNOWN_ERRORS, CliError, describe_error
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def select(stack: Stack, text: str | None, *, every: bool) -> list[Row]:
    """Return the newest run with results of a sample, the run with this id or its beginning, or all runs with results.

    Raises CliError if there is none.
    """
    if every == bool(text):
        raise CliError("Give a RUN or a SAMPLE, or --all.")
    if every:
        if with_results := list(run_table.rows(stack, statuses=WITH_RESULTS)):
            return with_results
        raise CliError(f"No run has results yet: `seqdrop status{stack.option}` lists the runs.")
    row = next(run_table.rows(stack, str(text), statuses=WITH_RESULTS), None) or run_table.find(stack, str(text))
    if row["status"] not in WITH_RESULTS:
        raise CliError(
            f"Run {row['run']} has no results: {row['status']}. See `seqdrop why {row['run']}{stack.option}`."
        )
    return [row]


def fetch(
    stack: Stack, rows: Sequence[Row], folder: Path, kinds: Sequence[str] = (), *, with_crate: bool = False
) -> list[Path]:
    """Download the results of runs to `folder/SAMPLE/RUN`, and describe them as an RO-Crate; return the files.

    Raises CliError after all if some could not be downloaded.
    """
    failed, fetched = [], list[Path]()
    for row in rows:
        target = folder / str(row["sample"]) / str(row["run"])
        try:
            files = download.download_results(stack, row, target, kinds)
            if with_crate:
                files.append(crate.write(stack, row, target))
            fetched += files
        except KNOWN_ERRORS as error:
            failed.append(f"{row['run']}: {describe_error(error)}")
            continue
        say(f"Run {row['run']} of {row['sample']}: {len(files)} files in {target}", style="green")
    if failed:
        raise CliError("Not downloaded:\n  " + "\n  ".join(failed))
    return fetched
