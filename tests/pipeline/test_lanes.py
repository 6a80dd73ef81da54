"""Lanes whose number nobody has said: one run of all that arrive within the quiet time."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.stack import Stack
from support.function_aws import object_created
from support.pipeline_runs import (
    SMALL_RUN,
    Sample,
    deploy,
    eventually,
    fetch_json,
    invoke_start_run,
    log_lines,
    prepare,
    prepare_files,
    rows,
    upload,
    wait_for_end,
)

DATA = Path(os.environ.get("SEQDROP_DATA", "/nonexistent"))
HUMAN = DATA / "human_hg002_chr20"


@pytest.fixture(scope="module")
def lane_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy with a quiet time of five seconds, more than two uploads take on a busy machine."""
    with deploy(tmp_path_factory.mktemp("aws"), "LaneWaitMinutes=0.08") as stack:
        prepare(stack, sample)
        yield stack


def send_again(stack: Stack, key: str) -> None:
    event = object_created(key, "v")
    event["detail"]["bucket"]["name"] = stack["FastqBucket"]
    invoke_start_run(stack, event)


def count_duplicates(stack: Stack) -> int:
    return sum('"FASTQ duplicate"' in line for line in log_lines(stack, f"/aws/lambda/{stack['StartRunFunction']}"))


def waiting_rows(stack: Stack, sample: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = stack.table.scan(ConsistentRead=True)["Items"]
    return [row for row in items if row.get("sample") == sample and row["status"] == "WAITING"]


def test_two_lanes_wait_for_each_other_and_are_one_run(lane_stack: Stack, sample: Sample) -> None:
    for lane in ("L002", "L001"):
        for mate in (2, 1):
            upload(lane_stack, sample.small_pair[mate - 1], f"a/PAIR_S1_{lane}_R{mate}_001.fastq.gz")
    eventually(lambda: waiting_rows(lane_stack, "PAIR") or rows(lane_stack, "PAIR"), "the row of the lanes")
    row = wait_for_end(lane_stack, "PAIR")
    assert (row["status"], row["reads"], row["lane_names"]) == ("SUCCEEDED", 4 * SMALL_RUN, ["L001", "L002"])
    assert waiting_rows(lane_stack, "PAIR") == []


def test_a_marker_ends_the_wait(stack: Stack, sample: Sample) -> None:
    for mate in (1, 2):
        upload(stack, sample.small_pair[mate - 1], f"run9/FLAGGED_S1_L001_R{mate}_001.fastq.gz")
    upload(stack, sample.small_pair[0], "run9/_READY")
    row = wait_for_end(stack, "FLAGGED")
    assert (row["status"], row["lane_names"]) == ("SUCCEEDED", ["L001"])


@pytest.mark.skipif(not HUMAN.is_dir(), reason="SEQDROP_DATA is not a folder with public reads")
def test_four_human_lanes_in_any_order_with_repeated_events_are_one_run(lane_stack: Stack) -> None:
    prepare_files(lane_stack, HUMAN / "ref/chr20_slice.fa", HUMAN / "ref/chr20_slice.ANKEF1.gtf", "hg")
    files = sorted((HUMAN / "fastq").glob("*.fastq.gz"))
    random.Random(10_507).shuffle(files)  # noqa: S311
    assert len(files) == 8
    for path in files:
        upload(lane_stack, path, f"lanes/{path.name}", reference="hg")
        send_again(lane_stack, f"lanes/{path.name}")
    row = wait_for_end(lane_stack, "HG002")
    assert (row["status"], row["reads"]) == ("SUCCEEDED", 2 * 10_507)
    assert len(fetch_json(lane_stack, row, "reads.json")["lanes"]) == 4
    before = count_duplicates(lane_stack)
    for path in files:
        send_again(lane_stack, f"lanes/{path.name}")
    eventually(lambda: count_duplicates(lane_stack) == before + len(files), "the events after the run")
    assert waiting_rows(lane_stack, "HG002") == []
    assert [each["run"] for each in rows(lane_stack, "HG002")] == [row["run"]]
