"""The lines `start_run` and `import`: what a function and a job need before their work begins."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Line, Side

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
               "FASTQ_BUCKET": "b", "POWERTOOLS_METRICS_NAMESPACE": "bench", "POWERTOOLS_SERVICE_NAME": "start_run",
               "LANE_WAIT_MINUTES": "5"}  # fmt: skip
# The first event of a cold function: an object that is not a FASTQ. Neither it nor boto3 beside it sends a request.
EVENT = {"source": "aws.s3", "detail-type": "Object Created", "detail": {
    "bucket": {"name": "b"}, "object": {"key": "x/readme.txt", "version-id": "v"}}}  # fmt: skip
HANDLE = f"""
import json, types
from functions.start_run import app
from seqdrop import aws
context = types.SimpleNamespace(function_name="f", memory_limit_in_mb=256, invoked_function_arn="a", aws_request_id="r")
assert app.handler(json.loads({json.dumps(json.dumps(EVENT))}), context)["outcomes"][0]["outcome"] == "ignored"
aws.client("s3")
"""
BOTO3 = "import boto3; boto3.client('s3')"
WRAPPERS = ("bwa_mem3", "bcftools", "snpeff", "samtools_stats", "report")


def side(name: str, code: str) -> Side:
    """Return a side that runs Python code."""
    return Side(name, [sys.executable, "-c", code], lambda: "done", {**ENVIRONMENT, "PYTHONPATH": str(ROOT)})


def lines(wanted: str) -> Iterator[Line]:
    """Yield the lines of starts."""
    if "start_run".startswith(wanted):
        yield Line(
            "start_run: import, first event, client", [side("seqdrop", HANDLE), side("boto3 + one client", BOTO3)]
        )
    if "import".startswith(wanted):
        for tool in WRAPPERS:
            yield Line(
                f"import of {tool}", [side("seqdrop", f"import containers.{tool}.run"), side("boto3", "import boto3")]
            )
