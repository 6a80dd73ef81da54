"""Fixtures: whole runs on the embedded AWS, the functions alone on moto, and a job with an S3 server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from seqdrop_cli.stack import Stack
from support import function_aws
from support.job_stacks import batch, line, s3_server  # noqa: F401
from support.pipeline_runs import Sample, fetch_records, run_pair
from support.pipeline_stacks import _tools  # noqa: F401


@pytest.fixture(scope="session")
def expected_records(stack: Stack, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the records of the BAM and the VCF of a run without faults."""
    return fetch_records(stack, run_pair(stack, sample.small_pair, "UNDISTURBED"), tmp_path_factory.mktemp("expected"))


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[function_aws.Deployed]:
    """Deploy the functions, the table and the buckets of the stack in this process; no job runs."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", function_aws.REGION)
    function_aws.keep_checksums(monkeypatch)
    with function_aws.deployed(monkeypatch) as deployment:
        yield deployment
