"""Run the whole pipeline in tests: deploy, prepare a reference, upload, wait, read the results."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import requests
from boto3.s3.transfer import S3Transfer, TransferConfig
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import project, reference
from seqdrop_cli.demo.files import SEED, DemoFiles, make_files
from seqdrop_cli.embedded import JOB_IMPORTS, Embedded
from seqdrop_cli.errors import CliError
from seqdrop_cli.reference import Source
from seqdrop_cli.stack import Stack, local
from warm_python import EMBEDDED, WarmProcess, parent_pid

from support import waiting

TIMEOUT = 300.0  # seconds of every wait; a run takes about ten on an idle machine
Fault = dict[str, Any]
# "classic": the CRT client, which boto3 prefers when awscrt is installed, ignores the endpoint.
TRANSFER = TransferConfig(preferred_transfer_client="classic")
SMALL_RUN = 3000  # read pairs: a depth of about 3x, enough work for every tool


@dataclass(frozen=True)
class Sample:
    """Simulated reads of a genome with planted variants: all of them, and a small pair of files."""

    material: DemoFiles
    small_pair: tuple[Path, Path]


def make_sample(folder: Path) -> Sample:
    material = make_files(folder, SEED)
    one, two = (
        copy_reads(path, folder / f"SMALL_R{mate}.fastq.gz", SMALL_RUN) for mate, path in enumerate(material.fastqs, 1)
    )
    return Sample(material, (one, two))


def copy_reads(source: Path, target: Path, number: int) -> Path:
    """Copy the first reads of a FASTQ."""
    with gzip.open(source) as lines, gzip.open(target, "wb", 1) as out:
        out.writelines(islice(lines, 4 * number))
    return target


@contextmanager
def deploy(
    folder: Path,
    *parameters: str,
    path: Path | None = None,
    executor: str = "process",
    faults: Sequence[Fault] = (),
    scratch_mib: int = 0,
) -> Iterator[Stack]:
    """Deploy the built template to a new embedded AWS; stop it at the end."""
    words = ["-m", "embedded_aws", "--template", str(project.built_template()), "--stack", "seqdrop"]
    words += ["--state", str(folder), "--executor", executor, "--with-parent", str(parent_pid(*EMBEDDED))]
    words += ["--preload", JOB_IMPORTS]
    if faults or scratch_mib:
        (folder / "faults.json").write_text(json.dumps(fault_document(faults, scratch_mib)))
        words += ["--inject", str(folder / "faults.json")]
    for parameter in (*project.local_parameters(), *parameters):
        words += ["--parameter", parameter]
    tools = [str(path)] if path else []
    environment = {
        "SFN_WAIT_TIME_SCALE": "0.05",  # the pauses between the retries of a state: seconds, not minutes
        **os.environ,
        "PATH": os.pathsep.join([*tools, str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    with (folder / "log").open("w") as log:
        server = WarmProcess(words, environment, *EMBEDDED, stdout=log.fileno(), stderr=log.fileno())
    try:
        yield local(eventually(lambda: Embedded.read(folder / "seqdrop.json"), (folder / "log").read_text))
    finally:
        server.terminate()
        server.wait(TIMEOUT)


def fault_document(faults: Sequence[Fault], scratch_mib: int = 0) -> dict[str, Any]:
    """Return the input of `seqdrop up --inject`: the faults of jobs and those of calls."""
    jobs, calls = [f for f in faults if "job" in f], [f for f in faults if "service" in f]
    return {"jobs": jobs, "calls": calls, **({"scratch_mib": scratch_mib} if scratch_mib else {})}


@contextmanager
def inject(stack: Stack, *faults: Fault) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Inject the faults of one test; yield a function that returns the faults that have occurred since."""
    url = f"{stack.endpoint}/_faults"
    credentials = stack.session.get_credentials()
    assert credentials
    with requests.Session() as owner:
        owner.auth = credentials.access_key, credentials.secret_key
        before = len(owner.get(url, timeout=TIMEOUT).json()["hits"])
        owner.put(url, json=fault_document(faults), timeout=TIMEOUT).raise_for_status()
        try:
            yield lambda: owner.get(url, timeout=TIMEOUT).json()["hits"][before:]
        finally:
            owner.put(url, json={}, timeout=TIMEOUT).raise_for_status()


eventually = partial(waiting.eventually, timeout=TIMEOUT)


def prepare(stack: Stack, sample: Sample) -> None:
    """Prepare the reference of the sample as `demo`."""
    prepare_files(stack, sample.material.fasta, sample.material.genes, "demo")


def prepare_files(stack: Stack, fasta: Path, genes: Path | None, name: str) -> None:
    """Prepare a reference; the same files under the same name are prepared once."""
    reference.prepare(stack, Source.of(fasta, genes, name))


def upload(stack: Stack, path: Path, key: str, **choices: str) -> None:
    """Upload one file to the bucket for FASTQs, as `aws s3 cp` does."""
    metadata = {f"seqdrop-{name}": value for name, value in choices.items()}
    extra = {"Metadata": metadata, "ChecksumAlgorithm": "CRC64NVME"}
    upload_file(stack, path, stack["FastqBucket"], key, extra)


def upload_file(stack: Stack, path: Path, bucket: str, key: str, extra: dict[str, Any] | None = None) -> None:
    """Upload a file with boto3, in parts if it is large."""
    with S3Transfer(stack.s3, TRANSFER) as transfer:
        transfer.upload_file(str(path), bucket, key, extra_args=extra)


def download_file(stack: Stack, bucket: str, key: str, target: Path) -> None:
    """Download an object with boto3."""
    with S3Transfer(stack.s3, TRANSFER) as transfer:
        transfer.download_file(bucket, key, str(target))


def upload_pair(stack: Stack, files: tuple[Path, Path], name: str, **choices: str) -> None:
    """Upload both mates; `name` is the sample, with folders or without, or a key with `{mate}` for their number."""
    key = name if "{mate}" in name else f"{name}_R{{mate}}.fastq.gz"
    for mate, path in enumerate(files, 1):
        upload(stack, path, key.replace("{mate}", str(mate)), **choices)


def invoke_start_run(stack: Stack, event: dict[str, Any]) -> None:
    """Send an event to start_run, as EventBridge and S3 do."""
    function, payload = stack["StartRunFunction"], json.dumps(event)
    stack.functions.invoke(FunctionName=function, InvocationType="Event", Payload=payload)


def rows(stack: Stack, sample: str) -> list[dict[str, Any]]:
    """Return the rows of the runs of a sample, without those of files that wait for their mate."""
    items = stack.table.scan(
        ConsistentRead=True,
        FilterExpression="#sample = :sample",
        ExpressionAttributeNames={"#sample": "sample"},  # a reserved word
        ExpressionAttributeValues={":sample": sample},
    )["Items"]
    return [row for row in items if row["status"] != "WAITING"]


def wait_for_row(stack: Stack, sample: str) -> dict[str, Any]:
    """Wait for the row of a sample, which must be its only one."""
    eventually(lambda: rows(stack, sample), f"a row of {sample}")
    [row] = rows(stack, sample)
    return row


def wait_for_end(stack: Stack, sample: str) -> dict[str, Any]:
    """Wait until the run of a sample is recorded and its execution, if it has one, has ended; return its row."""
    eventually(lambda: any(is_recorded(row) for row in rows(stack, sample)), f"the end of {sample}")
    row = wait_for_row(stack, sample)
    if "execution" in row:
        eventually(lambda: stack.status_of(row["execution"]) != "RUNNING", f"the end of the execution of {sample}")
    return row


def is_recorded(row: dict[str, Any]) -> bool:
    """Return True if the run has ended and its message is sent: the row is closed before that."""
    return row["status"] not in {"RUNNING", "WAITING"} and "notify_pending" not in row


def run_pair(stack: Stack, files: tuple[Path, Path], name: str, *, key: str = "", **choices: str) -> dict[str, Any]:
    """Upload a pair, by default under the name of the sample, and wait for the end of its run; return its row.

    `key` has `{mate}` for the number of the mate.
    """
    upload_pair(stack, files, key or name, **choices)
    return wait_for_end(stack, name)


def refused_reference(stack: Stack, capsys: pytest.CaptureFixture[str], source: Source) -> str:
    """Return what `seqdrop reference` prints about a reference that it refuses."""
    capsys.readouterr()
    with pytest.raises(CliError, match=rf"^Reference {source.name} could not be prepared\.$"):
        reference.prepare(stack, source)
    output = capsys.readouterr().out
    assert "REFERENCE in prepare" in output
    assert "What to do: Correct the files or options of the reference as the message says" in output
    assert "java" not in output
    return output


def keys(stack: Stack, row: dict[str, Any]) -> set[str]:
    """Return the keys in the results folder of a run, relative to it."""
    folder = S3Uri.parse(row["results"])
    items = stack.s3.list_objects_v2(Bucket=folder.bucket, Prefix=f"{folder.key}/").get("Contents", [])
    return {item["Key"].removeprefix(f"{folder.key}/") for item in items}


def fetch(stack: Stack, row: dict[str, Any], name: str, folder: Path) -> Path:
    """Download one result of a run into a folder."""
    uri = S3Uri.parse(row["results"]) / name
    target = folder / Path(name).name
    download_file(stack, uri.bucket, uri.key, target)
    return target


def fetch_json(stack: Stack, row: dict[str, Any], name: str) -> Any:
    """Parse one JSON result of a run."""
    uri = S3Uri.parse(row["results"]) / name
    return json.loads(stack.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read())


def fetch_records(stack: Stack, row: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Return the records of the BAM and of the VCF of a successful run, without the headers, which name the sample."""
    assert row["status"] == "SUCCEEDED", row
    bam, vcf = (fetch(stack, row, f"{row['sample']}.{kind}", folder) for kind in ("bam", "annotated.vcf.gz"))
    return run_tool("samtools", "view", bam), run_tool("bcftools", "view", "-H", vcf)


@contextmanager
def subscribe(stack: Stack, name: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Send the messages of the stack to a queue; yield a function that returns those it has not returned yet."""
    topics = stack.client("sns")
    url = stack.queues.create_queue(QueueName=name)["QueueUrl"]
    request: Any = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
    arn = stack.queues.get_queue_attributes(**request)["Attributes"]["QueueArn"]
    subscription = topics.subscribe(TopicArn=stack["RunTopic"], Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    def receive() -> list[dict[str, Any]]:
        answer = stack.queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    yield receive
    topics.unsubscribe(SubscriptionArn=subscription)


def log_lines(stack: Stack, prefix: str) -> list[str]:
    """Return every line, and the name of every stream, of the log groups with this prefix."""
    groups = stack.logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    pages = [
        page
        for group in groups
        for page in stack.logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
    ]
    return [text for page in pages for event in page["events"] for text in (event["logStreamName"], event["message"])]


def execution(stack: Stack, row: dict[str, Any]) -> Any:
    """Return the description of the execution of a run."""
    return stack.stepfunctions.describe_execution(executionArn=row["execution"])


def jobs_of(stack: Stack, row: dict[str, Any], step: str) -> list[Any]:
    """Return Batch's descriptions of the jobs that a run submitted for a step, in order."""
    events = stack.stepfunctions.get_execution_history(executionArn=row["execution"])["events"]
    outputs = [event["taskSubmittedEventDetails"]["output"] for event in events if event["type"] == "TaskSubmitted"]
    ids = [json.loads(output)["JobId"] for output in outputs if "JobId" in output]
    jobs = {job["jobId"]: job for job in stack.batch.describe_jobs(jobs=ids)["jobs"]} if ids else {}
    return [jobs[job_id] for job_id in ids if jobs[job_id]["jobName"].startswith(f"{step}-")]


def run_tool(*command: str | Path) -> str:
    """Run a program and return its output; a failure fails the test."""
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
