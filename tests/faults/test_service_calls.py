"""Service calls"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import (
    Sample,
    bodies,
    execution,
    fetch_json,
    jobs_of,
    keys,
    listening,
    planted,
    run_pair,
)

Fault = dict[str, Any]


def s3(operation: str, fault: str, key: str, times: int = 1, **more: Any) -> Fault:
    return {"service": "s3", "operation": operation, "fault": fault, "key": key, "times": times, **more}


def call(service: str, operation: str, fault: str, times: int) -> Fault:
    return {"service": service, "operation": operation, "fault": fault, "times": times}


# Each as often as shows that it is survived: the pause before another call doubles each time.
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
    happens="S3 refuses calls (503, 500, 429), hangs up, answers late, or what it sends is changed or cut on its way.",
    see="`SUCCEEDED`, a little later; the same reads and variants as ever, byte for byte.",
    does="Calls again, with longer and longer pauses; compares the checksum of everything it fetches and stores.",
)
@pytest.mark.parametrize(
    ("name", "faults"),
    [("STORM", STORM), ("RESETS", RESETS), ("CHANGED", CHANGED), ("SHORT", SHORT), ("SLOW", SLOW)],
)
def test_a_run_survives_what_s3_does_to_it(
    stack: Stack, sample: Sample, tmp_path: Path, undisturbed: tuple[str, str], name: str, faults: list[Fault]
) -> None:
    with planted(stack, *faults) as hits:
        row = run_pair(stack, sample.few, name)
        struck = hits()
    assert bodies(stack, row, tmp_path) == undisturbed
    assert len(struck) == sum(fault["times"] for fault in faults)


@case(
    happens="The host of a job is lost while it publishes, and S3 is out of order besides.",
    see="`SUCCEEDED`; the same reads and variants as ever, byte for byte.",
    does="Writes anew what the lost attempt had published without its receipt.",
)
def test_a_lost_host_in_the_middle_of_publishing_changes_no_byte(
    stack: Stack, sample: Sample, tmp_path: Path, undisturbed: tuple[str, str]
) -> None:
    faults = [
        s3("PutObject", "delay", "*/MIDDLE.bam", 1, seconds=2),
        s3("PutObject", "delay", "*/MIDDLE.annotated.vcf.gz", 1, seconds=2),
        s3("GetObject", "503", "*/MIDDLE.bam", 3),
        {"job": "align-*", "fault": "host_lost", "after": 1.2},
        {"job": "annotate-*", "fault": "host_lost", "after": 1.2},
    ]
    with planted(stack, *faults) as hits:
        row = run_pair(stack, sample.few, "MIDDLE")
        assert sum(hit["fault"] == "host_lost" for hit in hits()) == 2
    assert bodies(stack, row, tmp_path) == undisturbed
    assert len(jobs_of(stack, row, "align")[0]["attempts"]) == 2


@case(
    happens="A permission is taken away in the middle of a run (403).",
    see="`FAILED`, `DENIED`, and which call was refused.",
    does="Gives up: the same call would be refused again. No manifest.",
    do="Give the permission back, then resume the run.",
)
def test_a_refused_permission_ends_in_one_sentence(stack: Stack, sample: Sample) -> None:
    cut = s3("GetObject", "short", "*/failures/call.*")  # what the doctor reads
    with planted(stack, s3("PutObject", "403", "*/DENIED.vcf.gz", 99), cut) as hits:
        row = run_pair(stack, sample.few, "DENIED")
        assert [hit["fault"] for hit in hits()] == ["403", "short"]
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "DENIED", "call")
    assert "AccessDenied" in row["message"]
    assert "\n" not in row["message"]
    assert execution(stack, row)["cause"].startswith(row["message"])
    assert len(jobs_of(stack, row, "call")) == 1
    assert "manifest.json" not in keys(stack, row)
    assert "DENIED.bam" in keys(stack, row)


@case(
    happens="DynamoDB, Step Functions, Lambda or SNS are throttled or out of order while a run begins or ends.",
    see="`SUCCEEDED`, a little later; one row, one message.",
    does="Calls again, with longer and longer pauses.",
)
def test_the_record_is_right_though_every_service_is_throttled(stack: Stack, sample: Sample) -> None:
    faults = [
        call("stepfunctions", "StartExecution", "throttled", 2),
        call("dynamodb", "PutItem", "throttled", 2),
        call("dynamodb", "UpdateItem", "500", 2),
        call("dynamodb", "GetItem", "throttled", 2),
        call("lambda", "Invoke", "429", 2),
        call("sns", "Publish", "503", 2),
    ]
    with listening(stack, "throttled") as received, planted(stack, *faults) as hits:
        row = run_pair(stack, sample.few, "THROTTLED")
        messages = received() + received()
        struck = Counter((hit["service"], hit["operation"]) for hit in hits())
    assert row["status"] == "SUCCEEDED"
    assert struck == {(fault["service"], fault["operation"]): fault["times"] for fault in faults}
    assert [message["Subject"] for message in messages] == [f"seqdrop run {row['run']}: done"]
    assert fetch_json(stack, row, "manifest.json")["complete"] is True
    assert execution(stack, row)["status"] == "SUCCEEDED"
