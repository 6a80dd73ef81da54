"""Build links into the console of AWS. The embedded AWS has none."""

from __future__ import annotations

import os
from urllib.parse import quote

from seqdrop.storage.uri import S3Uri

HOSTS = {  # by partition
    "aws": "console.aws.amazon.com",
    "aws-us-gov": "console.amazonaws-us-gov.com",
    "aws-cn": "console.amazonaws.cn",
}


def links(execution: str, report: str) -> list[str]:
    """Return the lines of a message that link a run's report, if it has one, and its execution."""
    _, partition, _, region, *_ = execution.split(":")
    if "AWS_ENDPOINT_URL" in os.environ or partition not in HOSTS:
        return []
    console = f"https://{region}.{HOSTS[partition]}"
    lines = [f"Execution: {console}/states/home?region={region}#/executions/details/{execution}"]
    if report:
        uri = S3Uri.parse(report)
        lines.insert(0, f"Report: {console}/s3/object/{uri.bucket}?region={region}&prefix={quote(uri.key)}")
    return lines
