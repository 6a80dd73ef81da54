"""Runs that fail"""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from seqdrop.storage.uri import S3Uri
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from seqdrop_cli.stop import stop
from support.catalogue import case, more
from support.pipeline_runs import (
    FEW,
    Sample,
    drop_pair,
    ended,
    eventually,
    execution,
    fetch_json,
    jobs_of,
    keys,
    planted,
    row_of,
    run_pair,
)


def damaged(sample: Sample, folder: Path, how: str) -> tuple[Path, Path]:
    one, two = folder / "R1.fastq.gz", folder / "R2.fastq.gz"
    whole = sample.few[0].read_bytes()
    one.write_bytes(whole[: len(whole) // 2] if how == "cut" else whole)
    lines = gzip.decompress(sample.few[1].read_bytes()).splitlines(keepends=True)
    two.write_bytes(gzip.compress(b"".join(lines[:-28] if how == "short" else lines)))
    return one, two


@more
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


@more
def test_words_that_a_tool_does_not_allow_are_refused(stack: Stack, sample: Sample) -> None:
    row = run_pair(stack, sample.few, "HOSTILE", args='{"call":["--output","/etc/passwd"]}')
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "BAD_INPUT.ARGS", "call")
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


HALF_A_MINUTE = 30.0  # seconds between SIGTERM and SIGKILL of a container


@case(
    happens="Somebody stops a run (`seqdrop stop RUN`).",
    see="`ABORTED`, `STOPPED`.",
    does="Within half a minute: ends its jobs and all they started, gives up half an upload, clears the scratch disk. "
    "The stopped job leaves its verdict; there is no manifest.",
    do="`seqdrop resume RUN`, or drop the reads again.",
)
def test_a_stopped_run_leaves_nothing_behind_and_can_go_on(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    upload = {"service": "s3", "operation": "UploadPart", "key": "*/STOPPED.bam"}
    with planted(stack, {**upload, "fault": "delay", "seconds": 60}):
        drop_pair(stack, bulky(sample, tmp_path), "STOPPED")
        row = row_of(stack, "STOPPED")
        eventually(lambda: uploads(stack), "half an upload")
        [job] = jobs_of(stack, row, "align")
        eventually(lambda: processes(job), "the processes of the job")
        scratch = scratch_of(processes(job)[0])
        assert list(scratch.iterdir())
        told = time.monotonic()
        stop(stack, row)
        row = ended(stack, "STOPPED")
        eventually(lambda: not processes(job), "the end of the processes")
        assert list(scratch.iterdir()) == uploads(stack) == []
        assert time.monotonic() - told < HALF_A_MINUTE
    assert (row["status"], row["class"]) == ("ABORTED", "STOPPED")
    companions = {"STOPPED.bam.bai", "STOPPED.bam.md5"}  # published before what they go with
    assert keys(stack, row) == {"reads.json", "failures/align.1.1.json", *companions}
    assert fetch_json(stack, row, "failures/align.1.1.json")["class"] == "STOPPED"
    resume(stack, row)
    row = row_of(stack, "STOPPED")
    assert (row["status"], row["reads"]) == ("SUCCEEDED", 2 * (FEW + NOISE))
    assert "manifest.json" in keys(stack, row)


NOISE = 60_000  # pairs that match no genome: soon aligned, and a BAM too large for one PUT
LENGTH = 100
QUALITIES = (bytes(range(35, 75)) * 7)[:256]  # Phred+33, hard to compress


def bulky(sample: Sample, folder: Path) -> tuple[Path, Path]:
    """The few reads, and noise behind them."""
    made = []
    for mate, path in enumerate(sample.few, 1):
        random_of = random.Random(mate)  # noqa: S311
        seqs = random_of.randbytes(NOISE * LENGTH).translate(b"ACGT" * 64)
        quals = random_of.randbytes(NOISE * LENGTH).translate(QUALITIES)
        reads = (slice(LENGTH * number, LENGTH * (number + 1)) for number in range(NOISE))
        text = b"".join(b"@noise:%d\n%b\n+\n%b\n" % (at.start, seqs[at], quals[at]) for at in reads)
        made.append(folder / f"BULKY_R{mate}.fastq.gz")
        made[-1].write_bytes(path.read_bytes() + gzip.compress(text, 1))
    return made[0], made[1]


def uploads(stack: Stack) -> list[str]:
    found = stack.s3.list_multipart_uploads(Bucket=stack["ResultsBucket"]).get("Uploads", [])
    return [upload["Key"] for upload in found]


def processes(job: Any) -> list[Path]:
    """What a job has started, as /proc has it: all of it inherits the job's environment."""
    mark = f"AWS_BATCH_JOB_ID={job['jobId']}"
    return [path for path in Path("/proc").glob("[0-9]*") if mark in environment(path)]


def environment(process: Path) -> list[str]:
    try:
        return (process / "environ").read_text(errors="replace").split("\0")
    except OSError:  # it has ended
        return []


def scratch_of(process: Path) -> Path:
    [folder] = [line.partition("=")[2] for line in environment(process) if line.startswith("SEQDROP_SCRATCH=")]
    return Path(folder)


ALL = {"results", "reads", "bam", "stats", "vcf", "annotated_vcf", "report", "manifest"}
USAGE = 64  # exit code of a job that refuses its command line


@more
@pytest.mark.parametrize(
    ("taken", "refusing"),
    [(ALL, "align"), ({"vcf"}, "call"), ({"manifest"}, None)],
    ids=["all addresses", "an output", "the manifest"],
)
def test_a_plan_made_by_hand_changes_nothing_of_another_run(
    stack: Stack, undisturbed: tuple[str, str], taken: set[str], refusing: str | None
) -> None:
    theirs = row_of(stack, "UNDISTURBED")
    plan, before = json.loads(execution(stack, theirs)["input"]), versions(stack, theirs)
    run = f"by-hand-{min(taken)}"
    own = {word: value.replace(theirs["run"], run) for word, value in plan.items() if isinstance(value, str)}
    reads, bucket = S3Uri.parse(own["reads"]), stack["ResultsBucket"]
    stack.s3.copy_object(Bucket=bucket, Key=reads.key, CopySource=f"{bucket}/{S3Uri.parse(plan['reads']).key}")
    made = json.dumps(plan | own | {word: plan[word] for word in taken})
    machine = stack["PipelineStateMachine"]
    started = stack.stepfunctions.start_execution(stateMachineArn=machine, name=run, input=made)
    ending = eventually(lambda: over(stack, started["executionArn"]), "the end of the execution")
    assert (ending["status"], ending["error"]) == ("FAILED", "BAD_INPUT.PLAN")
    if refusing:
        [job] = jobs_of(stack, {"execution": started["executionArn"]}, refusing)
        assert job["container"]["exitCode"] == USAGE
    assert versions(stack, theirs) == before
    assert row_of(stack, "UNDISTURBED") == theirs


def versions(stack: Stack, row: dict[str, Any]) -> set[tuple[str, str]]:
    folder = S3Uri.parse(row["results"])
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=folder.bucket, Prefix=f"{folder.key}/")
    return {(item["Key"], item["VersionId"]) for page in pages for item in page["Versions"]}


def over(stack: Stack, execution: str) -> Any:
    found = stack.stepfunctions.describe_execution(executionArn=execution)
    return found if found["status"] != "RUNNING" else None
