"""The acceptance test of a deployment, against the embedded AWS through the path of a deployed stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from seqdrop.plan.choices import Choices
from seqdrop_cli.check import compute, storage
from seqdrop_cli.check.finding import Status
from seqdrop_cli.demo import command as demo
from seqdrop_cli.demo.files import SEED
from seqdrop_cli.stack import Stack, open_stack


@pytest.fixture
def as_deployed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack as `--stack NAME` opens it: by the credentials and the endpoint of the environment."""
    credentials = stack.session.get_credentials()
    assert credentials
    assert stack.endpoint
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_key)
    monkeypatch.setattr(Stack, "pause", 0.4)
    opened = open_stack(stack.name, stack.region)
    assert not opened.is_embedded
    return opened


@pytest.mark.timeout(600)
def test_the_demo_tests_a_deployed_stack_with_a_tool_that_is_not_the_default(
    as_deployed: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert as_deployed.default_tools == {"aligner": "bwa_mem3", "caller": "bcftools"}
    figures = demo.run_demo(as_deployed, tmp_path, SEED, Choices(aligner="bwa"))
    assert (figures["expected"], figures["matches"], figures["recall"]) == (120, 120, 1.0)
    json.dumps(figures)
    output = capsys.readouterr().out
    assert "recall 100.0%" in output
    assert "The stack keeps this run (s3://" in output
    manifest = json.loads((tmp_path / "results/manifest.json").read_text())
    assert manifest["sample"].startswith("DEMO-")
    assert (manifest["choices"]["aligner"], manifest["choices"]["caller"]) == ("bwa", "bcftools")
    [align] = [job for job in manifest["jobs"] if job["step"] == "align"]
    assert "bwa" in align["tools"]


def test_the_checks_of_a_deployed_stack_see_its_buckets_and_a_job_that_ends(as_deployed: Stack) -> None:
    found = [*storage.check_buckets(as_deployed), *compute.check_queues(as_deployed), *compute.check_job(as_deployed)]
    assert {one.status for one in found} == {Status.ok}
    assert [one.check for one in found][-1] == "job"
