"""The line `many`: pairs that are uploaded at the same time, with jobs that only write a receipt.

make bench LINE=many      # 1,000 pairs against 100: minutes
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import stack
from measure import GateError

JOBS = ("bwa-mem3", "bcftools", "snpeff", "samtools-stats", "report")
STAND_IN = stack.ROOT / "tests/support/stand_ins/quick_job"
COUNTS = (100, 1_000)
LIMIT = 1_800  # seconds for all runs
READ = "@A00001:12:HXYZTDSXX:1:1101:1000:{0} {1}:N:0:ACGT\n{2}\n+\nFFFFFFFF\n"


def stub_jobs(folder: Path) -> None:
    """Give a stack a template of its own, whose jobs are the stand-in."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(stack.ROOT / ".aws-sam", folder / ".aws-sam")
    template = folder / ".aws-sam/build/template.yaml"
    text = template.read_text()
    for name in JOBS:
        (folder / f"run-{name}").symlink_to(STAND_IN)
        text = text.replace(f"- run-{name}\n", f"- {folder}/run-{name}\n")
    template.write_text(text)


def upload(client: Any, bucket: str, count: int) -> None:
    """Upload pairs, eight files at a time."""

    def put(number: int, mate: int) -> None:
        body = gzip.compress(READ.format(number, mate, "ACGTACGA" if mate == 1 else "TGCATGCC").encode())
        client.put_object(Bucket=bucket, Key=f"S{number:04}_R{mate}.fastq.gz", Body=body)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(count), [1] * count))
        list(pool.map(put, range(count), [2] * count))


def measure(scratch: Path, count: int) -> tuple[float, float]:
    """Return the CPU seconds of a run in the embedded AWS, its functions and its jobs, and the wall seconds of all."""
    import boto3

    folder = scratch / "many"
    stub_jobs(folder / "stack")
    sizes = ["AlignVcpus=1", "CallVcpus=1", "LaneWaitMinutes=0"]
    with stack.up(folder, "process", sizes, built=True) as aws:
        state = json.loads((aws.folder / ".seqdrop/seqdrop.json").read_text())
        names = state["outputs"]
        access = {"endpoint_url": state["endpoint"], "region_name": state["region"],
                  "aws_access_key_id": state["access_key_id"],
                  "aws_secret_access_key": state["secret_access_key"]}  # fmt: skip
        s3, machine = boto3.client("s3", **access), boto3.client("stepfunctions", **access)
        reference = {"name": "demo", "contigs": [], "fingerprint": "f", "indexes": ["bwa_mem3", "snpeff"]}
        s3.put_object(Bucket=names["ReferenceBucket"], Key="demo/reference.json", Body=json.dumps(reference))
        begin, before = time.perf_counter(), stack.cpu_seconds(aws.pid)
        upload(s3, names["FastqBucket"], count)
        while (ended := _ended(machine, names["PipelineStateMachine"])) < count:
            if time.perf_counter() - begin > LIMIT:
                raise GateError(f"{ended} of {count} runs have ended")
            time.sleep(2)  # each look lists all executions
        cpu, wall = stack.cpu_seconds(aws.pid) - before, time.perf_counter() - begin
        if _ended(machine, names["PipelineStateMachine"], "") != count:
            raise GateError("there are more executions than pairs")
    return cpu / count, wall


def _ended(machine: Any, arn: str, status: str = "SUCCEEDED") -> int:
    filters = {"statusFilter": status} if status else {}
    pages = machine.get_paginator("list_executions").paginate(stateMachineArn=arn, **filters)
    return sum(len(page["executions"]) for page in pages)


def main(scratch: Path, counts: tuple[int, ...] = COUNTS) -> None:
    """Print the cost of a run among few and among many."""
    costs = {count: measure(scratch, count) for count in counts}
    few, many = costs[counts[0]], costs[counts[-1]]
    for count, (cpu, wall) in costs.items():
        sys.stdout.write(
            f"many: {count:,} pairs at once: {count:,} executions in {wall:,.0f} s, {cpu:.2f} CPU s a run\n"
        )
    sys.stdout.write(f"many: a run among many against one among few: {many[0] / few[0]:.2f} (wanted: 1.0)\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), tuple(map(int, sys.argv[2:])) or COUNTS)
