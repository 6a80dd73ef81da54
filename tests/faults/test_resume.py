"""Runs that go on"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.problem import Problem
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import (
    Sample,
    bodies,
    drop_pair,
    ended,
    eventually,
    execution,
    fetch_json,
    keys,
    planted,
    row_of,
    rows,
    run_pair,
)


@case(
    happens="A run failed or was stopped when a part of it was done.",
    see="After `seqdrop resume RUN`: the same run, its results where they would have been, byte for byte.",
    does="Starts the same plan as `<run>-2`; a job that finds its receipt ends at once.",
    do="Mend what `seqdrop why` says, then `seqdrop resume RUN`.",
)
def test_a_resumed_run_does_again_only_what_is_not_done(
    stack: Stack, sample: Sample, undisturbed: tuple[str, str], tmp_path: Path
) -> None:
    late = {"service": "s3", "operation": "PutObject", "key": "*/RESUMED.vcf.gz", "fault": "delay", "seconds": 60}
    with planted(stack, late):  # or the run might be over before it is stopped
        drop_pair(stack, sample.few, "RESUMED")
        row = row_of(stack, "RESUMED")
        eventually(lambda: "jobs/align.json" in keys(stack, row), "the alignment to be done")
        stack.stepfunctions.stop_execution(executionArn=row["execution"])
        stopped = ended(stack, "RESUMED")
    assert stopped["status"] == "ABORTED"
    before = fetch_json(stack, row, "jobs/align.json")
    resume(stack, stopped)
    row = row_of(stack, "RESUMED")
    assert (row["run"], row["status"], row["execution"]) == (stopped["run"], "SUCCEEDED", f"{stopped['execution']}-2")
    assert not row.keys() & {"class", "message", "advice", "step"}
    assert bodies(stack, row, tmp_path) == undisturbed
    assert fetch_json(stack, row, "jobs/align.json") == before
    manifest = fetch_json(stack, row, "manifest.json")
    assert (manifest["complete"], manifest["execution"]) == (True, row["execution"])
    assert execution(stack, row)["input"] == execution(stack, stopped)["input"]
    assert len(rows(stack, "RESUMED")) == 1


@case(
    happens="A step failed, the report was built without it, and the run is resumed.",
    see="`SUCCEEDED`; the report has the figures of all steps.",
    does="Builds the report anew where it would be made of other figures than it was.",
    do="Mend what `seqdrop why` says, then `seqdrop resume RUN`.",
)
def test_a_resumed_run_has_a_report_of_all_steps(stack: Stack, sample: Sample) -> None:
    refused = {"service": "s3", "operation": "PutObject", "fault": "403", "key": "*/LATER.vcf.gz", "times": 9}
    with planted(stack, refused):
        row = run_pair(stack, sample.few, "LATER")
    assert (row["status"], row["step"]) == ("FAILED", "call")
    assert modules(stack, row) == {"Samtools", "Bcftools"}
    resume(stack, row)
    assert modules(stack, row) == {"Samtools", "Bcftools", "SnpEff"}
    assert len(fetch_json(stack, row, "jobs/compose.json")["sources"]) == 5


def modules(stack: Stack, row: dict[str, Any]) -> set[str]:
    return set(fetch_json(stack, row, f"{row['sample']}.report.html.json")["report_data_sources"])


@case(
    happens="A run that succeeded, or still runs, is to be resumed.",
    see="A sentence that says so.",
    does="Starts nothing.",
)
def test_what_runs_or_is_done_is_not_resumed(stack: Stack, sample: Sample) -> None:
    drop_pair(stack, sample.few, "DONE")
    assert "it is still running" in refusal(stack, row_of(stack, "DONE"))
    row = ended(stack, "DONE")
    assert "it succeeded: there is nothing left to do" in refusal(stack, row)
    assert row_of(stack, "DONE") == row


def refusal(stack: Stack, row: dict[str, Any]) -> str:
    with pytest.raises(Problem) as raised:
        resume(stack, row)
    return str(raised.value)


@case(
    happens="A run was refused before it started.",
    see="`seqdrop resume` says that it was never started.",
    does="Nothing: there is no plan to resume.",
    do="Mend what it says, then drop the reads again.",
)
def test_a_run_that_never_started_is_not_resumed(stack: Stack, sample: Sample) -> None:
    drop_pair(stack, sample.few, "REFUSED", reference="nowhere")
    assert "never started" in refusal(stack, row_of(stack, "REFUSED"))
    ended(stack, "REFUSED")  # or its message comes into other tests
