"""`seqdrop run`: upload FASTQs, wait until their run starts, follow it, download its results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqdrop.plan import steps
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.runs import executions
from seqdrop.runs.outcome import QC_FAILED, WITH_RESULTS
from seqdrop.runs.table import IGNORED, RUNNING, Row
from seqdrop.text import count_warnings

from seqdrop_cli import download, intervals, preflight, reference, run_table, upload, why
from seqdrop_cli.errors import KNOWN_ERRORS, CliError, ResultsNotFetchedError, describe_error
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.follow import follow, interrupted_following
from seqdrop_cli.progress import StepState
from seqdrop_cli.reference import Source
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack
from seqdrop_cli.status import duration

START_TIMEOUT = 60  # seconds from the upload to the row of the run: an event and a cold function take a few
CLOSE_TIMEOUT = 15  # seconds from the end of an execution to that of its row
FETCH_ADVICE = (
    "Free some space there or choose another folder (`--results DIR`; of `seqdrop demo`: `--keep DIR`), then run the "
    "same command again: it downloads the results and computes nothing again."
)
QC_EXIT = 3  # of a run with results that its QC policy refuses


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments of `seqdrop run`."""

    fastqs: Fastqs
    reference: str | None  # None: the default reference of the stack
    source: Source | None = None  # of a reference to prepare first
    intervals: str = ""  # the name of a BED file beside the reference, or a file to upload there
    args: dict[str, list[str]] | None = None  # step -> options of its tool
    prefix: str = ""
    results: Path | None = None
    priority: str = "normal"
    aligner: str = ""  # "": the default of the stack
    caller: str = ""
    alignment_format: str = ""
    panel: str = ""  # "": the default of the stack
    max_cost: str = ""  # USD; "": the default of the stack
    form: str = ""

    @property
    def choices(self) -> Choices:
        """The choices that the FASTQs carry as metadata."""
        name = self.source.name if self.source else self.reference or ""
        chosen = (
            self.aligner, self.caller, self.alignment_format, self.fastqs.layout, self.panel, self.max_cost, self.form,
        )  # fmt: skip
        return Choices(name, self.intervals, self.args or {}, len(self.fastqs.pairs), self.priority, *chosen)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the FASTQs: the choices, and the number of lanes, so that the run waits for no other."""
        lanes = {"seqdrop-lanes": str(len(self.fastqs.pairs))} if self.fastqs.has_lanes else {}
        return {**self.choices.to_metadata(), **lanes}

    @property
    def folder(self) -> Path:
        """The folder for the results; without `results`, the one for all runs of the sample."""
        return self.results or Path("results") / self.fastqs.sample


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that ended with results."""

    row: Row
    steps: list[StepState]
    files: list[Path]

    def to_json(self) -> dict[str, Any]:
        """Return the row of the run with the paths of its results."""
        return {**self.row, "files": [str(file) for file in self.files]}


def run_pipeline(stack: Stack, request: RunRequest) -> RunResult:
    """Run the pipeline from the upload to the download. Raise CliError if the run fails, after explaining why."""
    return finish(stack, request, start(stack, request))


def start(stack: Stack, request: RunRequest) -> str:
    """Prepare the reference, if the request has one, and upload the files; return the run id. Raises CliError."""
    check_options(stack, request)
    preflight.check_images(stack, request.choices.tools(stack.default_tools), request.form)
    download.create_folder(request.folder)  # before hours of work that would have no place for its results
    name = _prepared_reference(stack, request)
    choices, regions = intervals.pin(stack, replace(request.choices, reference=name))
    return _upload(stack, replace(request, intervals=choices.intervals), choices, regions)


def finish(stack: Stack, request: RunRequest, run_id: str) -> RunResult:
    """Wait until a run starts, follow it and download its results; raise CliError if it fails."""
    with _run_continues(stack, run_id):
        row = wait_for_start(stack, run_id)
    row, states = follow_run(stack, run_id, run_table.execution_of(row))
    return RunResult(row, states, _download(stack, request, row))


def check_options(stack: Stack, request: RunRequest) -> None:
    """Raise CliError unless the stack allows the budget and the options, before anything is uploaded."""
    try:
        request.choices.check_budget(stack.max_run_cost)
        request.choices.check_options(stack.default_tools)
    except ChoiceError as error:
        raise CliError(f"{error.option}: {error}.") from None


def follow_run(stack: Stack, run_id: str, execution: str) -> tuple[Row, list[StepState]]:
    """Follow a run to its end; return its row and its steps. Raise CliError if it fails, after explaining why."""
    with _run_continues(stack, run_id):
        status, states = follow(stack, execution, run_id)
    row = _closed_row(stack, run_id, execution, status)
    if row["status"] not in WITH_RESULTS:
        why.explain(stack, row)
        raise CliError(f"\nRun {run_id} of {row.get('sample', '?')} ended as {row['status']}.")
    return row, states


def _prepared_reference(stack: Stack, request: RunRequest) -> str:
    """Return the name of the reference, after its preparation if the request has its source."""
    aligner = request.choices.tools(stack.default_tools)["aligner"]
    if request.source is None:
        return reference.resolve(stack, request.reference, aligner)
    say(f"Preparing reference {request.source.name}")
    reference.show(request.source.name, reference.prepare(stack, request.source, aligner))
    return request.source.name


def _upload(stack: Stack, request: RunRequest, choices: Choices, regions: str) -> str:
    """Upload the files, unless a run of the same files and choices runs or has results; return the run id."""
    metadata = request.metadata
    pins = {"genome": reference.fingerprint(stack, choices.reference), "regions": regions}
    fastqs = request.fastqs
    for destination in upload.destinations(stack, fastqs, request.prefix, metadata):
        stored = destination.upload_missing(stack, metadata)
        run_id = upload.run_id(stack, fastqs, stored, choices, **pins)
        if not destination.is_complete:
            say(f"Run {run_id}: {len(stored)} files of {fastqs.sample} are in s3://{stack['FastqBucket']}")
            return run_id
        row = run_table.get(stack, run_id)
        if row and row["status"] in {*WITH_RESULTS, RUNNING, IGNORED}:
            say(f"These files were uploaded before: run {run_id}, {row['status'].lower()}.")
            return run_id
    raise CliError(
        f"These files were uploaded {upload.MAX_FOLDERS} times and every run failed: `seqdrop why latest{stack.option}`"
    )


def wait_for_start(stack: Stack, run_id: str) -> Row:
    """Return the row of a run as soon as it has an execution; raise CliError if it was refused or does not start."""
    execution = executions.arn(run_id, stack["PipelineStateMachine"])
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if (row := run_table.get(stack, run_id)) and (row.get("execution") or row["status"] != RUNNING):
            return _check_started(stack, row)
        if stack.status_of(execution):  # the row is written after the execution was started
            return {"run": run_id, "execution": execution, "status": RUNNING}
        time.sleep(stack.pause)
    raise CliError(
        f"The files were uploaded, but no run started within {START_TIMEOUT} s: see the log of the function start_run "
        f"and its dead letter queue. `seqdrop status{stack.option}` shows the run if it starts later."
    )


def _check_started(stack: Stack, row: Row) -> Row:
    if not row.get("execution"):
        why.explain(stack, row)
        if row["status"] == IGNORED:  # the id of the row is that of no run
            raise CliError("\nThese files start no run.")
        raise CliError(f"\nRun {row['run']} was refused before it started.")
    return row


@contextmanager
def _run_continues(stack: Stack, run_id: str) -> Iterator[None]:
    """Report on Ctrl-C that the run continues: after the upload it needs this command no more."""
    try:
        yield
    except KeyboardInterrupt:
        if stack.is_temporary:
            raise
        raise interrupted_following(stack, run_id) from None


def _closed_row(stack: Stack, run_id: str, execution: str, status: str) -> Row:
    """Return the row after its execution ended; a stop reaches the row by an event, a moment later."""
    deadline = time.monotonic() + CLOSE_TIMEOUT
    row: Row = {}
    while time.monotonic() < deadline:
        row = run_table.get(stack, run_id) or {}
        if row.get("status", RUNNING) != RUNNING:
            return row
        time.sleep(stack.pause)
    description: Any = stack.stepfunctions.describe_execution(executionArn=execution)
    error = {"class": description.get("error", ""), "message": description.get("cause", "")}
    return {"run": run_id, **row, "status": status, **error}


def _download(stack: Stack, request: RunRequest, row: Row) -> list[Path]:
    folder = request.results or request.folder / str(row["run"])
    time_taken = duration(row)
    ending = (
        f"Run {row['run']} {str(row['status']).lower().replace('_', ' ')}{f' in {time_taken}' if time_taken else ''}"
    )
    try:
        files = download.download_results(stack, row, folder)
    except KNOWN_ERRORS as error:
        where = f"{ending}; its results are still at {row['results']}"
        raise ResultsNotFetchedError(f"{where}. {describe_error(error)} {FETCH_ADVICE}") from None
    warnings = row.get("warnings", ())
    doubts = count_warnings(len(warnings), " with ")
    failed = row["status"] == QC_FAILED
    say(f"{ending}{doubts}:", style="bold red" if failed else "yellow" if warnings else "green")
    download.show_files(files)
    for warning in warnings:
        say(f"Warning from {warning}", style="yellow")
    if row["status"] != "SUCCEEDED":
        why.explain(stack, row)
    if failed:
        raise CliError(f"\nRun {row['run']} of {row.get('sample', '?')} failed its quality control.", QC_EXIT)
    return files


def parse_args(texts: Sequence[str]) -> dict[str, list[str]]:
    """Parse `--args`: `align=--no-mark-duplicates` -> {"align": ["--no-mark-duplicates"]}; raise CliError."""
    args: dict[str, list[str]] = {}
    for text in texts:
        step, _, words = text.partition("=")
        if step not in steps.names() or not words.split():
            raise CliError(f"--args {text!r}: expected STEP=OPTIONS, with a STEP of {', '.join(steps.names())}.")
        args[step] = [*args.get(step, []), *words.split()]
    return args
