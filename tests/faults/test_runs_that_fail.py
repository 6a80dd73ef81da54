"""Failed and stopped runs"""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from seqdrop.jobs import reference_cache
from seqdrop.storage.uri import S3Uri
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from seqdrop_cli.stop import stop
from support.catalogue import case, more
from support.pipeline_runs import (
    SMALL_RUN,
    Sample,
    eventually,
    execution,
    fetch_json,
    inject,
    jobs_of,
    keys,
    run_pair,
    upload_pair,
    wait_for_end,
    wait_for_row,
)


def write_damaged(sample: Sample, folder: Path, how: str) -> tuple[Path, Path]:
    """Write the small pair with half of R1 (`cut`), or with fewer reads in R2 (`short`)."""
    one, two = folder / "R1.fastq.gz", folder / "R2.fastq.gz"
    data = sample.small_pair[0].read_bytes()
    one.write_bytes(data[: len(data) // 2] if how == "cut" else data)
    lines = gzip.decompress(sample.small_pair[1].read_bytes()).splitlines(keepends=True)
    two.write_bytes(gzip.compress(b"".join(lines[:-28] if how == "short" else lines)))
    return one, two


@more
@pytest.mark.parametrize(("how", "failure_class"), [("cut", "TRUNCATED"), ("short", "MATE_COUNT")])
def test_invalid_reads_are_reported_and_not_retried(
    stack: Stack, sample: Sample, tmp_path: Path, how: str, failure_class: str
) -> None:
    row = run_pair(stack, write_damaged(sample, tmp_path, how), f"BAD{how.upper()}")
    assert (row["status"], row["class"], row["step"]) == ("FAILED", f"BAD_INPUT.{failure_class}", "align")
    assert keys(stack, row) == {"reads.json", "reference.json", "failures/align.1.1.json"}
    failure = execution(stack, row)
    assert (failure["status"], failure["error"], failure["cause"].split("\n")[0]) == (
        "FAILED",
        row["class"],
        row["message"],
    )


@case(
    happens="A tool does not allow an option in `seqdrop-args`, or its value is missing or outside the limits.",
    see="`seqdrop run` names the options that the tool allows, before the upload. After an upload with another client: "
    "`FAILED`, `BAD_INPUT.CHOICES`, with the same message.",
    does="Starts no job.",
    do="Correct the options, then upload the reads again.",
)
def test_options_that_a_tool_does_not_allow_start_no_job(stack: Stack, sample: Sample) -> None:
    row = run_pair(stack, sample.small_pair, "HOSTILE", args='{"call":["--output","/etc/passwd"]}')
    assert (row["status"], row["class"]) == ("FAILED", "BAD_INPUT.CHOICES")
    assert "bcftools has no option --output; it allows --ploidy N (1 to 2)" in row["message"]
    assert "execution" not in row


@case(
    happens="The step `collect` (quality figures) fails; the variants do not.",
    see="`INCOMPLETE`; `manifest.json` with `complete: false` and the missing step.",
    does="Keeps the variants and builds the report without the missing figures.",
    do="Use the results. `seqdrop resume RUN` creates the missing ones.",
)
def test_a_run_with_failed_statistics_keeps_the_variants(stack: Stack, sample: Sample) -> None:
    denied = {"service": "s3", "operation": "PutObject", "fault": "403", "key": "*/NOSTATS.stats.txt*", "times": 9}
    with inject(stack, denied):
        row = run_pair(stack, sample.small_pair, "NOSTATS")
    assert (row["status"], row["step"]) == ("INCOMPLETE", "collect")
    manifest = fetch_json(stack, row, "manifest.json")
    assert (manifest["complete"], manifest["missing"]) == (False, ["collect"])
    assert "NOSTATS.annotated.vcf.gz" in keys(stack, row)
    assert "NOSTATS.report.html" in keys(stack, row)


STOP_TIMEOUT = 30.0  # seconds between SIGTERM and SIGKILL of a container


@case(
    happens="A user stops a run (`seqdrop stop RUN`).",
    see="`ABORTED`, `STOPPED`.",
    does="Within 30 seconds: ends the jobs of the run with all their processes, aborts incomplete uploads, clears "
    "the scratch disk. The stopped job writes its verdict. There is no manifest.",
    do="`seqdrop resume RUN`, or upload the reads again.",
)
def test_a_stopped_run_leaves_nothing_behind_and_can_be_resumed(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    slow = {"service": "s3", "operation": "UploadPart", "key": "*/STOPPED.bam", "fault": "delay", "seconds": 60}
    with inject(stack, slow):
        upload_pair(stack, write_large_pair(sample, tmp_path), "STOPPED")
        row = wait_for_row(stack, "STOPPED")
        eventually(lambda: uploads(stack), "an incomplete upload")
        [job] = jobs_of(stack, row, "align")
        eventually(lambda: processes(job), "the processes of the job")
        scratch = scratch_of(processes(job)[0])
        assert list(scratch.iterdir())
        start = time.monotonic()
        stop(stack, row)
        row = wait_for_end(stack, "STOPPED")
        eventually(lambda: not processes(job), "the end of the processes")
        left = [path for path in scratch.iterdir() if path.name != reference_cache.FOLDER]
        assert left == uploads(stack) == []
        assert time.monotonic() - start < STOP_TIMEOUT
    assert (row["status"], row["class"]) == ("ABORTED", "STOPPED")
    companions = {"STOPPED.bam.bai", "STOPPED.bam.md5"}  # published before the BAM, if the job came so far
    assert keys(stack, row) - companions == {"reads.json", "reference.json", "failures/align.1.1.json"}
    assert fetch_json(stack, row, "failures/align.1.1.json")["class"] == "STOPPED"
    resume(stack, row)
    row = wait_for_row(stack, "STOPPED")
    assert (row["status"], row["reads"]) == ("SUCCEEDED", 2 * (SMALL_RUN + NOISE))
    assert "manifest.json" in keys(stack, row)


NOISE = 85_000  # pairs that match no genome: aligned in seconds, and the BAM is too large for one PUT
LENGTH = 100
QUALITIES = (bytes(range(35, 75)) * 7)[:256]  # Phred+33, hard to compress


def write_large_pair(sample: Sample, folder: Path) -> tuple[Path, Path]:
    """Write the small pair, followed by random reads."""
    paths = []
    for mate, path in enumerate(sample.small_pair, 1):
        rng = random.Random(mate)  # noqa: S311
        seqs = rng.randbytes(NOISE * LENGTH).translate(b"ACGT" * 64)
        quals = rng.randbytes(NOISE * LENGTH).translate(QUALITIES)
        reads = (slice(LENGTH * number, LENGTH * (number + 1)) for number in range(NOISE))
        text = b"".join(b"@noise:%d\n%b\n+\n%b\n" % (at.start, seqs[at], quals[at]) for at in reads)
        paths.append(folder / f"LARGE_R{mate}.fastq.gz")
        paths[-1].write_bytes(path.read_bytes() + gzip.compress(text, 1))
    return paths[0], paths[1]


def uploads(stack: Stack) -> list[str]:
    answer = stack.s3.list_multipart_uploads(Bucket=stack["ResultsBucket"])
    return [upload["Key"] for upload in answer.get("Uploads", [])]


def processes(job: Any) -> list[Path]:
    """List the processes of a job in /proc: all of them inherit its environment."""
    variable = f"AWS_BATCH_JOB_ID={job['jobId']}"
    return [path for path in Path("/proc").glob("[0-9]*") if variable in environment(path)]


def environment(process: Path) -> list[str]:
    try:
        return (process / "environ").read_text(errors="replace").split("\0")
    except OSError:  # the process has ended
        return []


def scratch_of(process: Path) -> Path:
    [folder] = [line.partition("=")[2] for line in environment(process) if line.startswith("SEQDROP_SCRATCH=")]
    return Path(folder)


ADDRESSES = {"results", "reads", "bam", "stats", "vcf", "gvcf", "annotated_vcf", "report", "manifest"}
USAGE = 64  # exit code of a job that refuses its command line


@more
@pytest.mark.parametrize(
    ("copies", "refusing_step"),
    [(ADDRESSES, "align"), ({"vcf"}, "call"), ({"manifest"}, None)],
    ids=["all addresses", "an output", "the manifest"],
)
def test_a_manual_plan_changes_nothing_of_another_run(
    stack: Stack, expected_records: tuple[str, str], copies: set[str], refusing_step: str | None
) -> None:
    other = wait_for_row(stack, "UNDISTURBED")
    plan, before = json.loads(execution(stack, other)["input"]), versions(stack, other)
    run = f"manual-{min(copies)}"
    own = {word: value.replace(other["run"], run) for word, value in plan.items() if isinstance(value, str)}
    reads, bucket = S3Uri.parse(own["reads"]), stack["ResultsBucket"]
    stack.s3.copy_object(Bucket=bucket, Key=reads.key, CopySource=f"{bucket}/{S3Uri.parse(plan['reads']).key}")
    manual_plan = json.dumps(plan | own | {word: plan[word] for word in copies})
    machine = stack["PipelineStateMachine"]
    answer = stack.stepfunctions.start_execution(stateMachineArn=machine, name=run, input=manual_plan)
    end = eventually(lambda: describe_if_ended(stack, answer["executionArn"]), "the end of the execution")
    assert (end["status"], end["error"]) == ("FAILED", "BAD_INPUT.PLAN")
    if refusing_step:
        [job] = jobs_of(stack, {"execution": answer["executionArn"]}, refusing_step)
        assert job["container"]["exitCode"] == USAGE
    assert versions(stack, other) == before
    assert wait_for_row(stack, "UNDISTURBED") == other


def versions(stack: Stack, row: dict[str, Any]) -> set[tuple[str, str]]:
    folder = S3Uri.parse(row["results"])
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=folder.bucket, Prefix=f"{folder.key}/")
    return {(item["Key"], item["VersionId"]) for page in pages for item in page["Versions"]}


def describe_if_ended(stack: Stack, execution_arn: str) -> Any:
    description = stack.stepfunctions.describe_execution(executionArn=execution_arn)
    return description if description["status"] != "RUNNING" else None
