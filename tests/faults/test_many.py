"""Many at once"""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import project
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.function_aws import object_created
from support.made_reads import fastq
from support.pipeline_runs import deployed, eventually, is_told

PAIRS = 200
LONG = 1800.0  # seconds; a thousand jobs: two to five minutes on an idle machine
JOBS = ("bwa-mem3", "bcftools", "snpeff", "samtools-stats", "multiqc")
STAND_IN = Path(__file__).parent / "stand_ins/quick_job"


@pytest.fixture
def quick_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The whole stack; in place of its jobs, one that leaves a receipt and does no work."""
    built = shutil.copytree(project.built_template().parent, tmp_path / "project/.aws-sam/build") / "template.yaml"
    shutil.copytree(project.root() / "statemachine", tmp_path / "project/statemachine")  # where the template looks
    text = built.read_text()
    for name in JOBS:
        (tmp_path / f"run-{name}").symlink_to(STAND_IN)
        text = re.sub(rf"- run-{name}$", f"- {tmp_path}/run-{name}", text, flags=re.MULTILINE)
    built.write_text(text)
    monkeypatch.setattr(project, "built_template", lambda: built)
    with deployed(tmp_path, "AlignVcpus=1", "CallVcpus=1") as stack:
        reference = {"name": "demo", "contigs": [], "fingerprint": "f", "indexes": ["bwa_mem3", "snpeff"]}
        stack.s3.put_object(Bucket=stack["ReferenceBucket"], Key="demo/reference.json", Body=json.dumps(reference))
        yield stack


@pytest.mark.timeout(LONG + 300)
@case(
    happens="Two hundred pairs are dropped at once, in any order, and every event comes twice.",
    see="Two hundred runs and two hundred manifests.",
    does="Starts one run for each pair, and records each once.",
)
def test_two_hundred_pairs_at_once_are_two_hundred_runs(quick_stack: Stack) -> None:
    stack, order = quick_stack, random.Random(200)  # noqa: S311
    keys = [f"S{number:03}_R{mate}.fastq.gz" for number in range(PAIRS) for mate in (1, 2)]
    order.shuffle(keys)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: drop_and_tell_again(stack, key), keys))
    statuses = lambda: str(Counter(row["status"] for row in rows(stack)))  # noqa: E731
    found = eventually(lambda: all_ended(stack), statuses, patience=LONG)
    assert Counter(row["status"] for row in found) == {"SUCCEEDED": PAIRS}
    assert len({row["sample"] for row in found}) == len({row["run"] for row in found}) == PAIRS
    assert manifests(stack) == Counter(row["run"] for row in found)
    pages = stack.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=stack["PipelineStateMachine"])
    assert Counter(done["name"] for page in pages for done in page["executions"]) == manifests(stack)


def drop_and_tell_again(stack: Stack, key: str) -> None:
    """S3 tells of it by an event; the test tells of it once more."""
    mate = 1 if "_R1" in key else 2
    stored = stack.s3.put_object(Bucket=stack["FastqBucket"], Key=key, Body=fastq(mate))
    told = object_created(key, stored["VersionId"])
    told["detail"]["bucket"]["name"] = stack["FastqBucket"]
    payload = json.dumps(told)
    stack.functions.invoke(FunctionName=stack["StartRunFunction"], InvocationType="Event", Payload=payload)


def rows(stack: Stack) -> list[dict[str, Any]]:
    pages = stack.table.meta.client.get_paginator("scan").paginate(TableName=stack.table.name)
    return [row for page in pages for row in page["Items"]]


def all_ended(stack: Stack) -> list[dict[str, Any]]:
    """All rows, once there are enough and every one is told of."""
    time.sleep(2)  # looking often would slow down what is looked at
    found = rows(stack)
    return found if len(found) >= PAIRS and all(map(is_told, found)) else []


def manifests(stack: Stack) -> Counter[str]:
    """How often each run has written its manifest."""
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=stack["ResultsBucket"])
    keys = [entry["Key"] for page in pages for entry in page.get("Versions", [])]
    return Counter(key.split("/")[1] for key in keys if key.endswith("/manifest.json"))
