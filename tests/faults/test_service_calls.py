"""Errors of AWS services"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import (
    Sample,
    execution,
    fetch_json,
    fetch_records,
    inject,
    jobs_of,
    keys,
    run_pair,
    subscribe,
)

Fault = dict[str, Any]


def s3(operation: str, fault: str, key: str, times: int = 1, **options: Any) -> Fault:
    return {"service": "s3", "operation": operation, "fault": fault, "key": key, "times": times, **options}


def call(service: str, operation: str, fault: str, times: int) -> Fault:
    return {"service": service, "operation": operation, "fault": fault, "times": times}


# Few repetitions of each fault: the pause before the next call doubles each time.
STORM = [
    s3("HeadObject", "503", "*STORM*", 2),
    s3("GetObject", "503", "*STORM_R?.fastq.gz", 3),
    s3("GetObject", "500", "*/STORM.bam", 2),
    s3("PutObject", "503", "*/STORM.*", 2),
    s3("PutObject", "429", "*/jobs/call.json"),
    s3("GetObject", "429", "*/STORM.vcf.gz"),
    s3("GetObject", "503", "*/jobs/align.json"),
    s3("PutObject", "503", "*/manifest.json"),
]
RESETS = [
    s3("GetObject", "reset", "*RESETS_R?.fastq.gz", 2),
    s3("GetObject", "reset", "*/RESETS.bam"),
    s3("PutObject", "reset", "*/RESETS.bam", 2),
    s3("PutObject", "reset", "*/RESETS.vcf.gz"),
    s3("HeadObject", "reset", "*/RESETS.*"),
    s3("PutObject", "reset", "*/manifest.json"),
]
CHANGED = [
    s3("GetObject", "flip", "*CHANGED_R1.fastq.gz", 2),
    s3("GetObject", "flip", "*/CHANGED.bam"),
    s3("PutObject", "flip", "*/CHANGED.vcf.gz"),
    s3("GetObject", "flip", "*/genome.fa"),
]
SHORT = [
    s3("GetObject", "short", "*SHORT_R2.fastq.gz", 2),
    s3("GetObject", "short", "*/SHORT.bam", 2),
    s3("GetObject", "short", "*/SHORT.vcf.gz"),
    s3("GetObject", "short", "*/genome.fa"),
    s3("GetObject", "short", "*/jobs/collect.json", 2),
]
SLOW = [
    s3("GetObject", "delay", "*SLOW_R1.fastq.gz", 2, seconds=2),
    s3("PutObject", "delay", "*/SLOW.bam", 1, seconds=3),
]


@case(
    happens="S3 refuses calls (503, 500, 429), closes connections, or answers late; or data is changed or truncated in "
    "a transfer.",
    see="`SUCCEEDED`, later than usual. Reads and variants are identical to those of a run without faults.",
    does="Repeats the calls after pauses of increasing length. Compares the checksum of every download and upload.",
)
@pytest.mark.parametrize(
    ("name", "faults"),
    [("STORM", STORM), ("RESETS", RESETS), ("CHANGED", CHANGED), ("SHORT", SHORT), ("SLOW", SLOW)],
)
def test_a_run_with_s3_errors_succeeds_with_identical_results(
    stack: Stack, sample: Sample, tmp_path: Path, expected_records: tuple[str, str], name: str, faults: list[Fault]
) -> None:
    with inject(stack, *faults) as hits:
        row = run_pair(stack, sample.small_pair, name)
        occurred = hits()
    assert fetch_records(stack, row, tmp_path) == expected_records
    assert len(occurred) == sum(fault["times"] for fault in faults)


@case(
    happens="The host of a job is lost while the job publishes, and S3 returns errors at the same time.",
    see="`SUCCEEDED`. Reads and variants are identical to those of a run without faults.",
    does="Publishes the outputs again if they have no receipt.",
)
def test_a_host_lost_while_publishing_changes_no_result(
    stack: Stack, sample: Sample, tmp_path: Path, expected_records: tuple[str, str]
) -> None:
    faults = [
        s3("PutObject", "delay", "*/MIDDLE.bam", 1, seconds=2),
        s3("PutObject", "delay", "*/MIDDLE.annotated.vcf.gz", 1, seconds=2),
        s3("GetObject", "503", "*/MIDDLE.bam", 3),
        {"job": "align-*", "fault": "host_lost", "after": 1.2},
        {"job": "annotate-*", "fault": "host_lost", "after": 1.2},
    ]
    with inject(stack, *faults) as hits:
        row = run_pair(stack, sample.small_pair, "MIDDLE")
        assert sum(hit["fault"] == "host_lost" for hit in hits()) == 2
    assert fetch_records(stack, row, tmp_path) == expected_records
    assert len(jobs_of(stack, row, "align")[0]["attempts"]) == 2


@case(
    happens="A permission is removed during a run (403).",
    see="`FAILED`, `DENIED`, and the call that was refused. There is no manifest.",
    does="Ends the step: the same call would be refused again.",
    do="Restore the permission, then `seqdrop resume RUN`.",
)
def test_a_missing_permission_is_reported_in_one_sentence(stack: Stack, sample: Sample) -> None:
    short = s3("GetObject", "short", "*/failures/call.*")  # the doctor reads this verdict
    with inject(stack, s3("PutObject", "403", "*/DENIED.vcf.gz", 99), short) as hits:
        row = run_pair(stack, sample.small_pair, "DENIED")
        assert [hit["fault"] for hit in hits()] == ["403", "short"]
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "DENIED", "call")
    assert "AccessDenied" in row["message"]
    assert "\n" not in row["message"]
    assert execution(stack, row)["cause"].startswith(row["message"])
    assert len(jobs_of(stack, row, "call")) == 1
    assert "manifest.json" not in keys(stack, row)
    assert "DENIED.bam" in keys(stack, row)


@case(
    happens="DynamoDB, Step Functions, Lambda or SNS return errors when a run starts or ends.",
    see="`SUCCEEDED`, later than usual; one row and one message.",
    does="Repeats the calls after pauses of increasing length.",
)
def test_a_run_is_recorded_once_if_every_service_returns_errors(stack: Stack, sample: Sample) -> None:
    faults = [
        call("stepfunctions", "StartExecution", "throttled", 2),
        call("dynamodb", "PutItem", "throttled", 2),
        call("dynamodb", "UpdateItem", "500", 2),
        call("dynamodb", "GetItem", "throttled", 2),
        call("lambda", "Invoke", "429", 2),
        call("sns", "Publish", "503", 2),
    ]
    with subscribe(stack, "throttled") as receive, inject(stack, *faults) as hits:
        row = run_pair(stack, sample.small_pair, "THROTTLED")
        messages = receive() + receive()
        occurred = Counter((hit["service"], hit["operation"]) for hit in hits())
    assert row["status"] == "SUCCEEDED"
    assert occurred == {(fault["service"], fault["operation"]): fault["times"] for fault in faults}
    assert [message["Subject"] for message in messages] == [f"seqdrop run {row['run']}: done, 1 warning"]
    assert fetch_json(stack, row, "manifest.json")["complete"] is True
    assert execution(stack, row)["status"] == "SUCCEEDED"
