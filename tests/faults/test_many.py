"""Many runs at the same time"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import run_table
from seqdrop_cli.stack import Stack
from support import quick_stacks
from support.catalogue import case
from support.function_aws import object_created
from support.made_reads import fastq
from support.pipeline_runs import eventually, invoke_start_run, is_recorded

PAIRS = 200
SPLIT = 4  # one of so many runs has a job for each step, and the others one job
TIMEOUT = 1800.0  # seconds; the jobs take a minute on an idle machine


@pytest.fixture
def quick_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with quick_stacks.deploy_quick(tmp_path, monkeypatch) as stack:
        yield stack


@pytest.mark.timeout(TIMEOUT + 300)
@case(
    happens="200 pairs of both forms are uploaded at the same time, in any order, and every event is delivered twice.",
    see="200 runs and 200 manifests.",
    does="Starts one run for each pair, and records each run once.",
)
def test_two_hundred_pairs_at_the_same_time_start_two_hundred_runs(quick_stack: Stack) -> None:
    stack, order = quick_stack, random.Random(200)  # noqa: S311
    keys = [f"S{number:03}_R{mate}.fastq.gz" for number in range(PAIRS) for mate in (1, 2)]
    order.shuffle(keys)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: upload_with_second_event(stack, key), keys))
    statuses = lambda: str(Counter(row["status"] for row in rows(stack)))  # noqa: E731
    ended = eventually(lambda: all_recorded(stack), statuses, timeout=TIMEOUT)
    assert Counter(row["status"] for row in ended) == {"SUCCEEDED": PAIRS}
    assert Counter(row["form"] for row in ended) == {"split": PAIRS // SPLIT, "fused": PAIRS - PAIRS // SPLIT}
    assert len({row["sample"] for row in ended}) == len({row["run"] for row in ended}) == PAIRS
    assert manifests(stack) == Counter(row["run"] for row in ended)
    pages = stack.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=stack["PipelineStateMachine"])
    assert Counter(execution["name"] for page in pages for execution in page["executions"]) == manifests(stack)


def upload_with_second_event(stack: Stack, key: str) -> None:
    """Upload a FASTQ; S3 sends an event, and the test sends it again."""
    mate = 1 if "_R1" in key else 2
    form = {"seqdrop-form": "fused" if int(key[1:4]) % SPLIT else "split"}
    stored = stack.s3.put_object(Bucket=stack["FastqBucket"], Key=key, Body=fastq(mate), Metadata=form)
    event = object_created(key, stored["VersionId"])
    event["detail"]["bucket"]["name"] = stack["FastqBucket"]
    invoke_start_run(stack, event)


def rows(stack: Stack) -> list[dict[str, Any]]:
    return list(run_table.rows(stack))


def all_recorded(stack: Stack) -> list[dict[str, Any]]:
    """Return all rows if every run is recorded, else none."""
    time.sleep(5)
    # Only a number: the rows of all runs, read again and again, would take a fifth of the time of the server.
    recorded = "attribute_exists(finished) AND attribute_not_exists(notify_pending)"
    number = stack.table.scan(Select="COUNT", FilterExpression=recorded)["Count"]
    return [row for row in rows(stack) if is_recorded(row)] if number >= PAIRS else []


def manifests(stack: Stack) -> Counter[str]:
    """Count how often each run has written its manifest."""
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=stack["ResultsBucket"])
    keys = [entry["Key"] for page in pages for entry in page.get("Versions", [])]
    return Counter(key.split("/")[1] for key in keys if key.endswith("/manifest.json"))
