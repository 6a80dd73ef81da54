"""Short words for whole runs: deploy, prepare, drop, wait, look."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import requests
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import project, reference
from seqdrop_cli.demo import story
from seqdrop_cli.demo.story import Material
from seqdrop_cli.embedded import Embedded
from seqdrop_cli.reference import Source
from seqdrop_cli.stack import TRANSFER, Stack, local

from support import waiting

PATIENCE = 300.0  # seconds before a wait gives up; a run takes about ten on an idle machine
Fault = dict[str, Any]
FEW = 3000  # pairs of a small run: about 3x, enough for every tool to have something to do


@dataclass(frozen=True)
class Sample:
    """Simulated reads of a genome with planted variants, all of them and a few."""

    material: Material
    few: tuple[Path, Path]


def make_sample(folder: Path) -> Sample:
    material = story.make(folder, story.SEED)
    few = tuple(
        first_reads(path, folder / f"FEW_R{mate}.fastq.gz", FEW) for mate, path in enumerate(material.fastqs, 1)
    )
    return Sample(material, (few[0], few[1]))


def first_reads(source: Path, target: Path, number: int) -> Path:
    with gzip.open(source) as lines, gzip.open(target, "wb", 1) as out:
        out.writelines(islice(lines, 4 * number))
    return target


@contextmanager
def deployed(
    folder: Path,
    *parameters: str,
    path: Path | None = None,
    executor: str = "process",
    faults: Sequence[Fault] = (),
    scratch_mib: int = 0,
) -> Iterator[Stack]:
    """The built template in an embedded AWS of its own, gone afterwards."""
    words = [sys.executable, "-m", "embedded_aws", "--template", str(project.built_template()), "--stack", "seqdrop"]
    words += ["--state", str(folder), "--executor", executor, "--with-parent", str(os.getpid())]
    if faults or scratch_mib:
        (folder / "faults.json").write_text(json.dumps(document(faults, scratch_mib)))
        words += ["--inject", str(folder / "faults.json")]
    for parameter in (*project.local_parameters(), *parameters):
        words += ["--parameter", parameter]
    tools = [str(path)] if path else []
    environment = {
        "SFN_WAIT_TIME_SCALE": "0.05",  # the pauses between two tries of a state: seconds, not minutes
        **os.environ,
        "PATH": os.pathsep.join([*tools, str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        found = eventually(lambda: Embedded.read(folder / "seqdrop.json"), (folder / "log").read_text)
        yield local(found)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)


def document(faults: Sequence[Fault], scratch_mib: int = 0) -> dict[str, Any]:
    """What `seqdrop up --inject` reads: the faults of jobs, the faults of calls."""
    jobs, calls = [f for f in faults if "job" in f], [f for f in faults if "service" in f]
    return {"jobs": jobs, "calls": calls, **({"scratch_mib": scratch_mib} if scratch_mib else {})}


@contextmanager
def planted(stack: Stack, *faults: Fault) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Faults of one test; the callable gives those that have struck since."""
    door = f"{stack.endpoint}/_faults"
    before = len(requests.get(door, timeout=PATIENCE).json()["hits"])
    requests.put(door, json=document(faults), timeout=PATIENCE).raise_for_status()
    try:
        yield lambda: requests.get(door, timeout=PATIENCE).json()["hits"][before:]
    finally:
        requests.put(door, json={}, timeout=PATIENCE).raise_for_status()


eventually = partial(waiting.eventually, patience=PATIENCE)


def prepare(stack: Stack, sample: Sample) -> None:
    prepare_files(stack, sample.material.fasta, sample.material.genes, "demo")


def prepare_files(stack: Stack, fasta: Path, genes: Path, name: str) -> None:
    """Once for each name and content: the command line finds what was prepared before."""
    reference.prepare(stack, Source.of(fasta, genes, name))


def drop(stack: Stack, path: Path, key: str, **metadata: str) -> None:
    """What `aws s3 cp` does: put one file into the bucket."""
    given = {f"seqdrop-{name}": value for name, value in metadata.items()}
    extra = {"Metadata": given, "ChecksumAlgorithm": "CRC64NVME"}
    stack.s3.upload_file(str(path), stack["FastqBucket"], key, ExtraArgs=extra, Config=TRANSFER)


def drop_pair(stack: Stack, files: tuple[Path, Path], name: str, **metadata: str) -> None:
    for mate, path in enumerate(files, 1):
        drop(stack, path, f"{name}_R{mate}.fastq.gz", **metadata)


def rows(stack: Stack, sample: str) -> list[dict[str, Any]]:
    """The runs of a sample; not what waits for its mate."""
    every = stack.table.scan(ConsistentRead=True)["Items"]
    return [row for row in every if row["sample"] == sample and row["status"] != "WAITING"]


def row_of(stack: Stack, sample: str) -> dict[str, Any]:
    """The one row of a sample, once there is one."""
    eventually(lambda: rows(stack, sample), f"a row of {sample}")
    [row] = rows(stack, sample)
    return row


def ended(stack: Stack, sample: str) -> dict[str, Any]:
    """The one row of a sample, once its run is told of and its execution, if it had one, is closed."""
    eventually(lambda: any(is_told(row) for row in rows(stack, sample)), f"the end of {sample}")
    row = row_of(stack, sample)
    if "execution" in row:
        eventually(lambda: stack.status_of(row["execution"]) != "RUNNING", f"the end of the execution of {sample}")
    return row


def is_told(row: dict[str, Any]) -> bool:
    """A row is closed first; then its manifest is written and its message sent."""
    return row["status"] not in {"RUNNING", "WAITING"} and "notify_pending" not in row


def run_pair(stack: Stack, files: tuple[Path, Path], name: str, **metadata: str) -> dict[str, Any]:
    drop_pair(stack, files, name, **metadata)
    return ended(stack, name)


def keys(stack: Stack, row: dict[str, Any]) -> set[str]:
    """What lies in a run's folder."""
    folder = S3Uri.parse(row["results"])
    found = stack.s3.list_objects_v2(Bucket=folder.bucket, Prefix=f"{folder.key}/").get("Contents", [])
    return {item["Key"].removeprefix(f"{folder.key}/") for item in found}


def fetch(stack: Stack, row: dict[str, Any], name: str, folder: Path) -> Path:
    uri = S3Uri.parse(row["results"]) / name
    target = folder / Path(name).name
    stack.s3.download_file(uri.bucket, uri.key, str(target), Config=TRANSFER)
    return target


def fetch_json(stack: Stack, row: dict[str, Any], name: str) -> Any:
    uri = S3Uri.parse(row["results"]) / name
    return json.loads(stack.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read())


def bodies(stack: Stack, row: dict[str, Any], folder: Path) -> tuple[str, str]:
    """What the reads and the variants say, without the headers, which name the sample."""
    assert row["status"] == "SUCCEEDED", row
    bam, vcf = (fetch(stack, row, f"{row['sample']}.{kind}", folder) for kind in ("bam", "annotated.vcf.gz"))
    return tool("samtools", "view", bam), tool("bcftools", "view", "-H", vcf)


@contextmanager
def listening(stack: Stack, name: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A queue that gets every message of the stack; calling it takes out what has come."""
    topics = stack.session.client("sns", endpoint_url=stack.endpoint)
    url = stack.queues.create_queue(QueueName=name)["QueueUrl"]
    asked: Any = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
    arn = stack.queues.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
    subscription = topics.subscribe(TopicArn=stack["RunTopic"], Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    def received() -> list[dict[str, Any]]:
        found = stack.queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    yield received
    topics.unsubscribe(SubscriptionArn=subscription)


def logged(stack: Stack, beginning: str) -> list[str]:
    """Every line, and the name of every stream, in the log groups whose names begin so."""
    groups = stack.logs.describe_log_groups(logGroupNamePrefix=beginning)["logGroups"]
    pages = [
        page
        for group in groups
        for page in stack.logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
    ]
    return [text for page in pages for event in page["events"] for text in (event["logStreamName"], event["message"])]


def execution(stack: Stack, row: dict[str, Any]) -> Any:
    return stack.stepfunctions.describe_execution(executionArn=row["execution"])


def jobs_of(stack: Stack, row: dict[str, Any], step: str) -> list[Any]:
    """What Batch says of every job that a run submitted for a step, in order."""
    events = stack.stepfunctions.get_execution_history(executionArn=row["execution"])["events"]
    submitted = [event["taskSubmittedEventDetails"]["output"] for event in events if event["type"] == "TaskSubmitted"]
    names = [json.loads(output)["JobId"] for output in submitted if "JobId" in output]
    found = {job["jobId"]: job for job in stack.batch.describe_jobs(jobs=names)["jobs"]} if names else {}
    return [found[name] for name in names if found[name]["jobName"].startswith(f"{step}-")]


def tool(*words: str | Path) -> str:
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout
