"""Runs that fail"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from catalogue import case
from pipeline_runs import Sample, drop_pair, ended, eventually, execution, fetch_json, keys, row_of, run_pair
from seqdrop_cli.stack import Stack


def damaged(sample: Sample, folder: Path, how: str) -> tuple[Path, Path]:
    one, two = folder / "R1.fastq.gz", folder / "R2.fastq.gz"
    whole = sample.few[0].read_bytes()
    one.write_bytes(whole[: len(whole) // 2] if how == "cut" else whole)
    lines = gzip.decompress(sample.few[1].read_bytes()).splitlines(keepends=True)
    two.write_bytes(gzip.compress(b"".join(lines[:-28] if how == "short" else lines)))
    return one, two


@case(
    happens="A FASTQ is cut off, or one mate has fewer reads than the other.",
    see="`FAILED`, `BAD_INPUT.TRUNCATED` or `BAD_INPUT.MATE_COUNT`, and which file it is.",
    does="Ends the alignment before anything is published. The same bytes are never tried again.",
    do="Send the files again as they left the sequencer.",
)
@pytest.mark.parametrize(("how", "failure_class"), [("cut", "TRUNCATED"), ("short", "MATE_COUNT")])
def test_bad_reads_are_named_and_never_tried_twice(
    stack: Stack, sample: Sample, tmp_path: Path, how: str, failure_class: str
) -> None:
    row = run_pair(stack, damaged(sample, tmp_path, how), f"BAD{how.upper()}")
    assert (row["status"], row["class"], row["step"]) == ("FAILED", f"BAD_INPUT.{failure_class}", "align")
    assert keys(stack, row) == {"reads.json", "failures/align.1.1.json"}
    ending = execution(stack, row)
    assert (ending["status"], ending["error"], ending["cause"].split("\n")[0]) == (
        "FAILED",
        row["class"],
        row["message"],
    )


@case(
    happens="A run asks for words (`seqdrop-args`) that the tool's wrapper does not allow.",
    see="`FAILED`, `BAD_INPUT.ARGS`, and the word.",
    does="Refuses it before the tool is started.",
    do="Correct the words and drop the reads again.",
)
def test_words_that_a_tool_does_not_allow_are_refused(stack: Stack, sample: Sample) -> None:
    row = run_pair(stack, sample.few, "HOSTILE", args='{"call":["--output","/etc/passwd"]}')
    assert (row["status"], row["step"]) == ("FAILED", "call")
    assert "--output" in row["message"]
    assert "manifest.json" not in keys(stack, row)


@case(
    happens="The quality figures fail, the variants do not.",
    see="`INCOMPLETE`; `manifest.json` with `complete: false` and the missing step.",
    does="Keeps the variants and builds the report from what there is.",
    do="Use the results; resume the run for the rest.",
)
def test_a_failed_quality_branch_keeps_the_variants(stack: Stack, sample: Sample) -> None:
    row = run_pair(stack, sample.few, "NOSTATS", args='{"collect":["--no-such-option"]}')
    assert (row["status"], row["step"]) == ("INCOMPLETE", "collect")
    manifest = fetch_json(stack, row, "manifest.json")
    assert (manifest["complete"], manifest["missing"]) == (False, ["collect"])
    assert "NOSTATS.annotated.vcf.gz" in keys(stack, row)
    assert "NOSTATS.report.html" in keys(stack, row)


@case(
    happens="Somebody stops a run.",
    see="`ABORTED`, `STOPPED`.",
    does="Ends its jobs; leaves no manifest.",
    do="Resume it, or drop the reads again.",
)
def test_a_stopped_run_is_recorded_as_aborted_and_leaves_no_job(stack: Stack, sample: Sample) -> None:
    drop_pair(stack, sample.material.fastqs, "STOPPED")
    row = row_of(stack, "STOPPED")
    job = eventually(lambda: running_job(stack, row), "the alignment to run")
    stack.stepfunctions.stop_execution(executionArn=row["execution"], cause="a test stops it")
    row = ended(stack, "STOPPED")
    assert (row["status"], row["class"]) == ("ABORTED", "STOPPED")
    ended_job = eventually(lambda: job_status(stack, job) == "FAILED", "the job to end")
    assert ended_job
    assert "manifest.json" not in keys(stack, row)


def running_job(stack: Stack, row: dict[str, Any]) -> str:
    events = stack.stepfunctions.get_execution_history(executionArn=row["execution"])["events"]
    submitted = [event["taskSubmittedEventDetails"]["output"] for event in events if event["type"] == "TaskSubmitted"]
    import json

    jobs = [json.loads(output)["JobId"] for output in submitted]
    return next((job for job in jobs if job_status(stack, job) == "RUNNING"), "")


def job_status(stack: Stack, job: str) -> str:
    return stack.batch.describe_jobs(jobs=[job])["jobs"][0]["status"]
