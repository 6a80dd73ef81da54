"""A stack on moto for tests of the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from seqdrop.plan.steps import ALL
from seqdrop_cli.app import app
from seqdrop_cli.stack import Stack
from typer.testing import CliRunner

from support.function_aws import client, create_run_table, empty_aws, keep_checksums, session

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:pipeline"
IMAGE_TAGS = " ".join(f"{tool.name}:1" for step in ALL for tool in step.tools)
RUN = "0123456789abcdef0123"
RESULTS = "s3://results/S1/" + RUN
EXECUTION = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{RUN}"


@contextmanager
def stack() -> Iterator[Stack]:
    with empty_aws(), pytest.MonkeyPatch.context() as patch:
        keep_checksums(patch)
        s3 = client("s3")
        for bucket in ("fastq", "results", "references"):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        create_run_table("runs")
        create_run_table("attempts", "AttemptTable")
        outputs = {
            "FastqBucket": "fastq",
            "ResultsBucket": "results",
            "ReferenceBucket": "references",
            "RunTable": "runs",
            "AttemptTable": "attempts",
            "PipelineStateMachine": MACHINE,
            "PrepareReferenceStateMachine": MACHINE.replace("pipeline", "prepare"),
            "StartRunFunction": "start_run",
            "Aligner": "bwa_mem3",
            "Caller": "bcftools",
            "DefaultReference": "hg",
            "DefaultPanel": "none",
            "ImageTags": IMAGE_TAGS,
            "JobLogGroup": "/jobs",
        }
        yield Stack("seqdrop", outputs, session()._session)  # of botocore


def seqdrop(*words: str) -> tuple[int, str]:
    """Run a command; return its exit code and its output."""
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def write_json(stack: Stack, bucket: str, key: str, value: Any) -> None:
    stack.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(value))


def end_execution(stack: Stack, name: str, plan: Mapping[str, Any]) -> str:
    """Start an execution with this input and stop it; return its ARN. moto runs no states."""
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    states, role = stack.stepfunctions, "arn:aws:iam::123456789012:role/x"
    machine = states.create_state_machine(name="pipeline", definition=definition, roleArn=role)
    execution = states.start_execution(stateMachineArn=machine["stateMachineArn"], name=name, input=json.dumps(plan))[
        "executionArn"
    ]
    states.stop_execution(executionArn=execution)
    return execution
