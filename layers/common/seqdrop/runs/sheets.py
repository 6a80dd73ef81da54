"""Start the runs of a samplesheet: all of it is checked first, then each sample is a message of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from seqdrop.failure.verdict import BadInputError
from seqdrop.plan import csv_table, fastq_names, illumina_sheet, input_names, sheet
from seqdrop.plan.choices import ChoiceError, Choices
from seqdrop.plan.csv_table import Problem, SheetError
from seqdrop.plan.names import printable
from seqdrop.plan.sheet import Lane, Sample
from seqdrop.runs import lane_wait, messages, submit, table
from seqdrop.runs.pairing import Pair
from seqdrop.runs.reference import IntervalsError, UnpreparedError
from seqdrop.runs.submit import NotReadyError, OfSheet, Result
from seqdrop.storage import s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri

OF_SHEET = "a samplesheet starts its run"
TASK = "start_sample"  # of the messages
FORBIDDEN = 403
READERS = 16  # requests to S3 at a time: a sheet names hundreds of files


def handle(uri: S3Uri, version_id: str) -> Result:
    """Check a sheet and send a message for each sample; a sheet with a problem starts nothing and gets a row."""
    data = s3.store().read_start(uri, csv_table.MAX_SIZE + 1, version_id)
    try:
        if illumina_sheet.is_illumina(data):
            return end_waits(uri, data)
        samples = sheet.parse(data)
        if problems := sorted([*_of_files(uri, samples), *_of_choices(samples)]):
            raise SheetError(problems)
    except SheetError as error:
        return refuse(uri, version_id, error)
    for sample in samples:
        messages.send({"task": TASK, "sheet": str(uri), "version": version_id, "sample": sample.name})
    return {"outcome": "sheet", "reason": f"starts {len(samples)} samples"}


def refuse(uri: S3Uri, version_id: str, error: SheetError) -> Result:
    """Write the row of a sheet with problems and send a message; the name of the sheet is in the place of a sample."""
    row = table.file_id("sheet", uri.bucket, [uri.key, version_id])
    name = fastq_names.harmless(uri.name)[: fastq_names.MAX_SAMPLE] or "-"
    return submit.refuse(name, row, Choices(), BadInputError("SHEET", f"{uri.name}: {error}"), sheet=str(uri))


def start(message: Mapping[str, str]) -> Result:
    """Start the run of one sample of a checked sheet."""
    uri = S3Uri.parse(message["sheet"])
    data = s3.store().read_start(uri, csv_table.MAX_SIZE + 1, message["version"])
    [sample] = [one for one in sheet.parse(data) if one.name == message["sample"]]
    refused = table.file_id("sheet", uri.bucket, [uri.key, message["version"], sample.name])
    return _start(uri, sample, refused, {"sheet": str(uri)})


def start_rows(rows: Sequence[Mapping[str, str]]) -> Result:
    """Start the run of one sample whose rows come without a sheet; raise SheetError with every problem.

    The files are addresses, or keys of the bucket for FASTQs. Lines count as in a sheet: the first row is line 2.
    """
    uri, data = S3Uri(os.environ["FASTQ_BUCKET"], "rows.csv"), csv_table.write(rows)
    samples = sheet.parse(data)
    if len(samples) > 1:
        raise SheetError([Problem(samples[1].line, "sample", "is a second sample: start each run by itself")])
    if problems := sorted([*_of_files(uri, samples), *_of_choices(samples)]):
        raise SheetError(problems)
    return _start(uri, samples[0], table.file_id("rows", uri.bucket, [data.decode()]), {})


def _start(uri: S3Uri, sample: Sample, refused: str, row: Mapping[str, Any]) -> Result:
    """Start the run of a sample; `refused` is the id of its row if a file has been deleted since it was checked."""
    try:
        pairs = [_pair(uri, lane) for lane in sample.lanes]
    except s3.MissingError as error:
        problem = BadInputError("MISSING", str(error))
        return submit.refuse(sample.name, refused, sample.choices, problem, sheet=row.get("sheet", ""))
    pairs.sort(key=lambda pair: (pair.lane, pair.keys))
    warnings = {"warnings": sample.warnings} if sample.warnings else {}
    reads = {"sheet": dict(sample.columns), **warnings}
    result = submit.submit(sample.name, pairs, of_sheet=OfSheet(sample.choices, {**row, **_group(pairs)}, reads))
    _end_waits_of(pairs)
    return result


def _pair(uri: S3Uri, lane: Lane) -> Pair:
    return Pair(lane.lane, *(s3.store().head(_address(uri, lane, column)) for column in lane.files))


def _of_files(uri: S3Uri, samples: list[Sample]) -> Iterator[Problem]:
    """Yield a problem for each file that is used twice, not in a bucket for FASTQs, or is empty or archived."""
    places = [(lane, mate) for sample in samples for lane in sample.lanes for mate in lane.files]
    with ThreadPoolExecutor(READERS) as pool:
        problems = pool.map(lambda place: _of_file(uri, *place), places)
        for (lane, mate), message in zip(places, problems, strict=True):
            if message:
                yield Problem(lane.line, mate, message)
    yield from _used_twice(uri, places)


def _used_twice(uri: S3Uri, places: list[tuple[Lane, str]]) -> Iterator[Problem]:
    """Yield a problem for each file that an earlier cell names in another way, such as a path and an address."""
    used: dict[S3Uri, Lane] = {}
    for lane, mate in places:
        with suppress(ValueError):  # a problem of its own
            address = _address(uri, lane, mate)
            if address in used:
                yield Problem(lane.line, mate, f"{address} is in line {used[address].line} too")
            used.setdefault(address, lane)


def _of_file(uri: S3Uri, lane: Lane, mate: str) -> str:
    text = getattr(lane, mate)
    try:
        address = _address(uri, lane, mate)
    except ValueError as error:
        return str(error)
    buckets = [os.environ["FASTQ_BUCKET"], *input_buckets(os.environ["INPUT_BUCKET_ARNS"])]
    if address.bucket not in buckets:
        return f"{text!r} is in none of the buckets for FASTQs: {', '.join(buckets)} (see InputBucketArns of the stack)"
    try:
        stored = s3.store().find(address)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != FORBIDDEN:
            raise
        return f"{text!r} cannot be read: the policy of its bucket or of its key (InputKeyArns) does not allow it"
    if stored is None:
        return f"{text!r} does not exist ({address})"
    if not stored.version_id:
        return f"{text!r} has no version: enable versioning of its bucket, then copy it there again"
    return f"{text!r} is empty" if not stored.size else _archived(text, stored)


def input_buckets(arns: str) -> list[str]:
    """Return the names of the other buckets that sheets may name, from the parameter InputBucketArns."""
    return [arn.rpartition(":")[2] for arn in arns.split(",") if arn]


def _archived(text: str, stored: StoredObject) -> str:
    return f"{text!r} is archived ({stored.archived}): restore it first" if stored.archived else ""


def _address(uri: S3Uri, lane: Lane, mate: str) -> S3Uri:
    """Return the address of a file: a path is relative to the folder of the sheet; raise ValueError."""
    text: str = getattr(lane, mate)
    if "://" in text:
        return S3Uri.parse(text)
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} is neither an address (s3://...) nor a path below the folder of the sheet")
    folder = uri.key[: uri.key.rfind("/") + 1]
    return S3Uri(uri.bucket, folder + text.removeprefix("./"))


def _of_choices(samples: list[Sample]) -> Iterator[Problem]:
    """Yield a problem for each sample whose reference, tools or regions are not possible in this stack."""
    known: dict[str, tuple[str, str]] = {}
    for sample in samples:
        choices = submit.with_defaults(sample.choices)
        key = repr(replace(choices, lanes=1))
        if key not in known:
            known[key] = _check(choices)
        column, message = known[key]
        if message:
            yield Problem(sample.line, column, message)


def _check(choices: Choices) -> tuple[str, str]:
    """Return the column and the message of what is not possible; ("", "") if all is."""
    try:
        submit.check_choices(choices)
        submit.pin_reference(choices)
    except ChoiceError as error:
        return error.column, str(error)
    except NotReadyError as error:
        return "caller" if choices.caller else "aligner", str(error)
    except UnpreparedError as error:
        return "panel" if f"no panel {choices.panel} " in str(error) else "reference", str(error)
    except IntervalsError as error:
        return "panel" if choices.panel else "intervals", str(error)
    return "", ""


def _group(pairs: list[Pair]) -> dict[str, Any]:
    """Return what keeps later events from starting the same files by their names, if these are of one group."""
    groups = {
        table.file_id("group", pair.fastq_1.uri.bucket, [name.group])
        for pair in pairs
        if (name := input_names.parse(pair.fastq_1.uri.key))
    }
    versions = [mate.version_id for pair in pairs for mate in pair.files]
    return {"group": groups.pop(), "versions": versions} if len(groups) == 1 else {}


def _end_waits_of(pairs: list[Pair]) -> None:
    """End the rows in which these files wait for others by their names, or for their sheet."""
    versions: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for file in (file for pair in pairs for file in pair.files):
        versions.setdefault((file.uri.bucket, _names_of_held(file.uri.key)), []).append(file.version_id)
    for (bucket, names), found in versions.items():
        table.set_named(bucket, names, found)
    for pair in pairs:
        if name := input_names.parse(pair.fastq_1.uri.key):
            table.delete_waiting(pair.fastq_1.uri.bucket, [name.group])
            table.delete_waiting(pair.fastq_1.uri.bucket, name.mates)


def wait(uri: S3Uri) -> Result:
    """Write the row of a file that waits for the samplesheet that names it, unless that has started its run."""
    name, names = input_names.parse(uri.key), _names_of_held(uri.key)
    sample = name.sample if name else fastq_names.harmless(uri.name)[: fastq_names.MAX_SAMPLE] or "-"
    message = (
        f"{printable(uri.key)} waits for the samplesheet that names it (metadata seqdrop-sheet): upload the sheet, or "
        "repeat `seqdrop submit` if it was interrupted"
    )
    if stored := s3.store().find(uri):
        table.create_held(uri.bucket, names, stored.version_id, sample, message)
    return {"outcome": "ignored", "reason": OF_SHEET}


def _names_of_held(key: str) -> tuple[str, ...]:
    """Return the names of the row of a file that waits for a sheet: both mates have one row."""
    name = fastq_names.parse(key)
    return name.mates if name else (key,)


def has_started(bucket: str, name: fastq_names.FastqName, pairs: list[Pair]) -> str:
    """Return the run that a sheet has started of these files, or of a part of what was there; "" if there is none."""
    mates = [mate for pair in pairs for mate in pair.files]
    versions, newest = {mate.version_id for mate in mates}, max(mate.modified for mate in mates)
    for row in table.with_group(table.file_id("group", bucket, [name.group])):
        of_sheet = set(row.get("versions", ()))
        is_older = newest[:16].replace(" ", "T") < str(row["started"])[:16]
        if versions <= of_sheet or (versions & of_sheet and is_older):
            return str(row["run"])
    return ""


def end_waits(uri: S3Uri, data: bytes) -> Result:
    """End the wait of the samples of an Illumina sheet whose lanes have all arrived in its folder."""
    expected = {one.name: one.lanes for one in illumina_sheet.parse(data) if one.lanes}
    if not lane_wait.quiet_seconds():
        return {"outcome": "ignored", "reason": "lanes do not wait for others: each is a run already"}
    keys = s3.store().list_keys(uri.bucket, uri.key[: uri.key.rfind("/") + 1])
    found: dict[str, dict[int, set[int]]] = {}
    names = {}
    for name in filter(None, map(fastq_names.parse, keys)):
        if name.lane and name.sample in expected:
            names[name.group] = name
            found.setdefault(name.group, {}).setdefault(int(name.lane[1:]), set()).add(name.mate)
    complete = [
        names[group]
        for group, mates in found.items()
        if all(mates.get(lane) == {1, 2} for lane in expected[names[group].sample])
    ]
    for name in complete:
        lane_wait.end_now(uri.bucket, name)
    return {"outcome": "sheet", "reason": f"ends the wait of {len(complete)} samples"}
