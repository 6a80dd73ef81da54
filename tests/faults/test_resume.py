"""Resumed runs"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.errors import CliError
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import (
    Sample,
    eventually,
    execution,
    fetch_json,
    fetch_records,
    inject,
    keys,
    rows,
    run_pair,
    upload_pair,
    wait_for_end,
    wait_for_row,
)


@case(
    happens="A run failed or was stopped after some of its steps were done.",
    see="After `seqdrop resume RUN`: the same run with the same addresses. The results are identical to those of a run "
    "without a failure.",
    does="Starts the same plan as execution `<run>-2`. A job with a receipt ends at once.",
    do="Correct the cause that `seqdrop why RUN` shows, then `seqdrop resume RUN`.",
)
def test_a_resumed_run_repeats_only_the_steps_that_are_not_done(
    stack: Stack, sample: Sample, expected_records: tuple[str, str], tmp_path: Path
) -> None:
    late = {"service": "s3", "operation": "PutObject", "key": "*/RESUMED.vcf.gz", "fault": "delay", "seconds": 60}
    with inject(stack, late):  # the run must not end before it is stopped
        upload_pair(stack, sample.small_pair, "RESUMED")
        row = wait_for_row(stack, "RESUMED")
        eventually(lambda: "jobs/align.json" in keys(stack, row), "the alignment to be done")
        stack.stepfunctions.stop_execution(executionArn=row["execution"])
        stopped = wait_for_end(stack, "RESUMED")
    assert stopped["status"] == "ABORTED"
    before = fetch_json(stack, row, "jobs/align.json")
    resume(stack, stopped)
    row = wait_for_row(stack, "RESUMED")
    assert (row["run"], row["status"], row["execution"]) == (stopped["run"], "SUCCEEDED", f"{stopped['execution']}-2")
    assert not row.keys() & {"class", "message", "advice", "step"}
    assert fetch_records(stack, row, tmp_path) == expected_records
    assert fetch_json(stack, row, "jobs/align.json") == before
    manifest = fetch_json(stack, row, "manifest.json")
    assert (manifest["complete"], manifest["execution"]) == (True, row["execution"])
    assert execution(stack, row)["input"] == execution(stack, stopped)["input"]
    assert len(rows(stack, "RESUMED")) == 1


@case(
    happens="A step failed, the report was built without it, and the run is resumed.",
    see="`SUCCEEDED`; the report has the figures of all steps.",
    does="Builds the report again if its inputs have changed.",
    do="Correct the cause that `seqdrop why RUN` shows, then `seqdrop resume RUN`.",
)
def test_a_resumed_run_has_a_report_of_all_steps(stack: Stack, sample: Sample) -> None:
    denied = {"service": "s3", "operation": "PutObject", "fault": "403", "key": "*/LATER.vcf.gz", "times": 9}
    with inject(stack, denied):
        row = run_pair(stack, sample.small_pair, "LATER")
    assert (row["status"], row["step"]) == ("FAILED", "call")
    assert figures(stack, row) == {"mean_depth"}
    resume(stack, row)
    assert figures(stack, row) == {"mean_depth", "variants"}
    assert len(fetch_json(stack, row, "jobs/compose.json")["sources"]) == 17


def figures(stack: Stack, row: dict[str, Any]) -> set[str]:
    """Return which of a figure of the reads and one of the calls the report has."""
    return {"mean_depth", "variants"} & fetch_json(stack, row, f"{row['sample']}.report.html.json")["figures"].keys()


@case(
    happens="`seqdrop resume` is called for a run that succeeded or is still running.",
    see="A message with the state of the run.",
    does="Starts no execution.",
)
def test_a_running_or_successful_run_is_not_resumed(stack: Stack, sample: Sample) -> None:
    upload_pair(stack, sample.small_pair, "DONE")
    assert "it is still running" in refusal(stack, wait_for_row(stack, "DONE"))
    row = wait_for_end(stack, "DONE")
    assert "it succeeded: there is nothing left to do" in refusal(stack, row)
    assert wait_for_row(stack, "DONE") == row


def refusal(stack: Stack, row: dict[str, Any]) -> str:
    with pytest.raises(CliError) as raised:
        resume(stack, row)
    return str(raised.value)


@case(
    happens="The genome of a reference is replaced before a run that reads it is resumed.",
    see="The results are those of the genome that the run started with.",
    does="Reads the version of each file of the reference that it pinned when it started.",
    do="Nothing. To use the present reference, upload the reads again.",
)
def test_a_resumed_run_reads_the_reference_that_it_started_with(
    stack: Stack, sample: Sample, expected_records: tuple[str, str], tmp_path: Path
) -> None:
    denied = {"service": "s3", "operation": "PutObject", "fault": "403", "key": "*/PINNED.vcf.gz", "times": 9}
    with inject(stack, denied):
        row = run_pair(stack, sample.small_pair, "PINNED")
    assert (row["status"], row["step"]) == ("FAILED", "call")
    genome = {"Bucket": stack["ReferenceBucket"], "Key": f"{row['reference']}/genome.fa"}
    version = stack.s3.put_object(**genome, Body=b">chr1\nACGT\n")["VersionId"]
    try:
        resume(stack, row)
        row = wait_for_row(stack, "PINNED")
        assert row["status"] == "SUCCEEDED"
        assert fetch_records(stack, row, tmp_path) == expected_records
    finally:
        stack.s3.delete_object(**genome, VersionId=version)


@case(
    happens="`seqdrop resume` is called for a run that was refused before it started.",
    see="The run, once its cause (BED, reference, images) is corrected; else the present reason.",
    does="Starts it: under another id if what it reads has changed since.",
    do="Correct the cause in the message, then `seqdrop resume RUN`.",
)
def test_a_refused_run_starts_after_its_cause_is_corrected(stack: Stack, sample: Sample) -> None:
    upload_pair(stack, sample.small_pair, "REFUSED", intervals="late.bed")
    refused = wait_for_end(stack, "REFUSED")
    assert "late.bed is not beside reference" in refusal(stack, refused)
    contig = sample.material.fasta.read_text().split(maxsplit=1)[0].removeprefix(">")
    key, regions = f"{refused['reference']}/late.bed", f"{contig}\t0\t900\n"
    stack.s3.put_object(Bucket=stack["ReferenceBucket"], Key=key, Body=regions.encode())
    resume(stack, refused)
    [row] = [row for row in rows(stack, "REFUSED") if row["run"] != refused["run"]]
    assert (row["status"], row["sample"]) == ("SUCCEEDED", "REFUSED")
    assert f"it was started as run {row['run']}" in refusal(stack, refused)
    assert fetch_json(stack, row, "manifest.json")["intervals_name"] == "late.bed"
