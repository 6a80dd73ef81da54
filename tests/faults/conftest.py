"""Whole runs on the embedded AWS, and the functions alone on moto: faults are planted in both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from seqdrop_cli.stack import Stack
from support import function_aws
from support.job_stacks import batch, line, s3_server  # noqa: F401
from support.pipeline_runs import Sample, bodies, run_pair
from support.pipeline_stacks import _tools, sample, stack  # noqa: F401


@pytest.fixture(scope="session")
def undisturbed(stack: Stack, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:  # noqa: F811
    """What reads and variants of the few reads are when nothing goes wrong."""
    return bodies(stack, run_pair(stack, sample.few, "UNDISTURBED"), tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[function_aws.Deployed]:
    """The stack's functions, tables and buckets in this process; no job runs."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", function_aws.REGION)
    function_aws.keep_checksums(monkeypatch)
    with function_aws.deployed(monkeypatch) as found:
        yield found
