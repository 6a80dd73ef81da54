"""seqdrop.aws: clients that start fast, and what a job imports before it needs one."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import pytest
from seqdrop import aws

EXPENSIVE = {"boto3", "botocore.client", "botocore.session", "s3transfer", "urllib3", "urllib.request", "numpy"}
# Print which modules a program has imported; each has been started with none.
IMPORTED = "import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
JOBS = ("seqdrop.jobs.step", "containers.bcftools.run", "containers.bwa_mem3.run", "containers.samtools_stats.run")


@pytest.mark.parametrize("module", JOBS)
def test_a_job_imports_nothing_expensive_before_it_needs_a_client(module: str) -> None:
    program = [sys.executable, "-c", IMPORTED.format(module=module)]
    imported = json.loads(subprocess.run(program, capture_output=True, check=True).stdout)
    assert module in imported
    assert EXPENSIVE.isdisjoint(imported)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("service", aws.SERVICES)
def test_a_client_repeats_throttled_calls_ten_times(service: str) -> None:
    make: object = aws.client
    client = make(service)  # type: ignore[operator]  # typed for literal names only
    assert client.meta.service_model.service_name == service
    assert client.meta.config.retries["total_max_attempts"] == 1 + 10
    assert client.meta.config.retries["mode"] == "standard"


@pytest.mark.usefixtures("credentials")
def test_settings_replace_the_retries() -> None:
    config = aws.client("s3", read_timeout=3, retries={"total_max_attempts": 2}).meta.config
    assert (config.read_timeout, config.retries["total_max_attempts"]) == (3, 2)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_afterwards_as_it_was(monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
    def create(*_: object, **__: object) -> bool:
        return gc.isenabled()

    monkeypatch.setattr(aws.session(), "create_client", create)
    (gc.enable if enabled else gc.disable)()
    try:
        assert aws.client("s3") is False  # while the client is made
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
        gc.unfreeze()
