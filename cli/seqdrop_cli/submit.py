"""`seqdrop submit`: check a samplesheet, upload its local FASTQs, put the sheet into the bucket."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seqdrop.plan import csv_table, sheet
from seqdrop.plan.choices import HOLD
from seqdrop.plan.csv_table import SheetError
from seqdrop.plan.sheet import ALIGNMENTS, CHOSEN, MATES, Sample
from seqdrop.runs import table
from seqdrop.runs.pairing import Pair
from seqdrop.runs.table import Row
from seqdrop.storage import s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri

from seqdrop_cli import planned, run, run_table, samplesheet, upload, why
from seqdrop_cli.errors import CliError
from seqdrop_cli.planned import Planned
from seqdrop_cli.samplesheet import Checked, Files
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

INVALID = 65  # the exit code for bad data, as that of jobs
HELD = {HOLD: "yes"}  # the sheet starts the run of the file, not its name
WAIT = 10  # seconds for each sample, besides the time that one run needs to start
Stored = Mapping[str, StoredObject]  # by the text in the sheet


def submit(stack: Stack, path: Path, prefix: str, *, dry_run: bool, yes: bool) -> list[Row]:
    """Start one run for each sample of a sheet; return their rows. Raise CliError with code 65 if it has problems."""
    try:
        samples = samplesheet.read(path)
        files = dict(samplesheet.files_of(path, samples))
        checked = samplesheet.check(stack, samples, files)
    except SheetError as error:
        lines = "\n  ".join(map(str, error.problems))
        raise CliError(f"Nothing was started: {path} has problems:\n  {lines}", INVALID) from None
    show(stack, checked, files)
    if dry_run:
        return []
    planned.confirm(yes=yes)
    stored = _upload(stack, files, prefix)
    uri, version = _put_sheet(stack, [one.sample for one in checked], stored, prefix)
    say(f"Put the sheet to {uri}")
    return _wait(stack, [(one.sample, _run_id(stack, one, stored)) for one in checked], uri, version)


def show(stack: Stack, checked: Sequence[Checked], files: Files) -> None:
    """Print the samples as a table."""
    rows = [
        plan_of(
            stack,
            one.sample,
            files,
            reference=one.choices.reference,
            form=one.choices.form,
            alignment_format=one.choices.alignment_format,
            **one.choices.tools(stack.default_tools),
        )
        for one in checked
    ]
    planned.show(stack, rows)


def plan_of(stack: Stack, sample: Sample, files: Files, **chosen: str) -> Planned:
    """Return the row of a sample of a sheet; `chosen` has what the run or the stack chose."""
    size = sum(_size(stack, files[text]) for lane in sample.lanes for text in lane.files.values())
    row = Planned(sample.name, [*(lane.lane for lane in sample.lanes), sample.choices.layout], size, **chosen)
    words = {word for lane in sample.lanes for word in lane.files}
    return replace(row, alignments=next((word for word in ALIGNMENTS if word in words), ""))


def _size(stack: Stack, file: Path | S3Uri) -> int:
    """Return the bytes of a file of this machine or of a bucket."""
    return file.stat().st_size if isinstance(file, Path) else stack.store.head(file).size


def _upload(stack: Stack, files: Files, prefix: str) -> Stored:
    """Upload the local files that are not there yet, each to a folder named after its bytes."""
    stored: dict[str, StoredObject] = {}
    for text, file in files.items():
        if isinstance(file, S3Uri):
            stored[text] = stack.store.head(file)
            continue
        digest = hashlib.sha256(f"{s3.checksum(file)}{file.stat().st_size}".encode()).hexdigest()[:12]
        uri = S3Uri(stack["FastqBucket"], f"{_folder(prefix)}{digest}/{file.name}")
        found = stack.store.find(uri)
        if found and upload.is_same(file, found, HELD):
            stored[text] = found
        else:
            [stored[text]] = upload.upload_files(stack, [(file, uri)], HELD)
    return stored


def _folder(prefix: str) -> str:
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _put_sheet(stack: Stack, samples: Sequence[Sample], stored: Stored, prefix: str) -> tuple[S3Uri, str]:
    """Write the sheet with the addresses of the files; return its address and version."""
    others = dict.fromkeys(column for sample in samples for column in sample.columns)
    columns = dict.fromkeys((*MATES, *(column for one in samples for lane in one.lanes for column in lane.files)))
    header = ["sample", "lane", *columns, *CHOSEN, sheet.PLOIDY, *others]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    for sample in samples:
        for lane in sample.lanes:
            addresses = {column: str(stored[text].uri) for column, text in lane.files.items()}
            chosen = {column: getattr(sample.choices, column) for column in CHOSEN}
            ploidy = {sheet.PLOIDY: sample.choices.args["call"][-1]} if sample.choices.args else {}
            writer.writerow(
                {**sample.columns, "sample": sample.name, "lane": lane.lane, **addresses, **chosen, **ploidy}
            )
    data = text.getvalue().encode()
    if len(data) > csv_table.MAX_SIZE:
        raise CliError(f"The sheet with its addresses has more than {csv_table.MAX_SIZE:,} bytes: divide it.")
    digest = hashlib.sha256(data).hexdigest()[:12]
    uri = S3Uri(stack["FastqBucket"], f"{_folder(prefix)}samplesheets/{digest}.samplesheet.csv")
    stack.store.write(uri, data)
    return uri, stack.store.head(uri).version_id


def _run_id(stack: Stack, one: Checked, stored: Stored) -> str:
    pairs = [Pair(lane.lane, *(stored[text] for text in lane.files.values())) for lane in one.sample.lanes]
    return upload.run_id_of_pairs(stack, one.sample.name, pairs, one.choices, genome=one.genome, regions=one.regions)


def _wait(stack: Stack, runs: Sequence[tuple[Sample, str]], uri: S3Uri, version: str) -> list[Row]:
    """Wait until each sample has a row; return the rows. Raise CliError for those that were refused or do not start."""
    refusal = table.file_id("sheet", uri.bucket, [uri.key, version])
    waiting, rows = {run_id: sample.name for sample, run_id in runs}, dict[str, Row]()
    deadline = time.monotonic() + run.START_TIMEOUT + WAIT * len(runs)
    while waiting and time.monotonic() < deadline:
        if row := run_table.get(stack, refusal):
            why.explain(stack, row)
            raise CliError("\nNothing was started.", INVALID)
        for run_id in list(waiting):
            if row := run_table.get(stack, run_id):
                rows[waiting.pop(run_id)] = row
        time.sleep(stack.pause if waiting else 0)
    for name, row in rows.items():
        say(f"{name}: run {row['run']}, {str(row['status']).lower()}")
    if waiting:
        names = ", ".join(waiting.values())
        raise CliError(
            f"No run of {names} has started: see the log of the function start_run and its dead letter queue."
        )
    if refused := [name for name, row in rows.items() if "execution" not in row and row["status"] == "FAILED"]:
        raise CliError(f"\n{len(refused)} of {len(rows)} samples were refused: {', '.join(refused)}.", INVALID)
    say(f"`seqdrop status{stack.option}` shows the runs, `seqdrop fetch --all{stack.option}` downloads the results.")
    return list(rows.values())
