"""Fixtures: the pipeline on the embedded AWS, with real tools and simulated reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop.plan.steps import STEPS
from seqdrop_cli import preflight, project
from seqdrop_cli.stack import Stack

from support.pipeline_runs import Sample, deploy, make_sample, prepare


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """Fail at once, with the command that helps, where a program of the local deployment is missing."""
    parameters = dict(parameter.split("=", 1) for parameter in project.local_parameters())
    tools = {step.choice: parameters.get(step.parameter, step.tools[0].name) for step in STEPS if step.choice}
    missing = preflight.missing_programs(tools)
    assert not missing, f"not installed: {', '.join(missing)}; `make tools` installs them"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy the stack of `samconfig.toml [local]` and prepare its reference."""
    with deploy(tmp_path_factory.mktemp("aws")) as stack:
        prepare(stack, sample)
        yield stack


@pytest.fixture(scope="session")
def bwa_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy with bwa in place of bwa-mem3, and with the HTTP API."""
    with deploy(tmp_path_factory.mktemp("aws"), "Aligner=bwa", "ApiAccess=iam") as stack:
        prepare(stack, sample)
        yield stack


@pytest.fixture(scope="session")
def original_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy with fake programs for Isaac and Strelka, the tools of the original pipeline."""
    stand_ins = Path(__file__).parent / "stand_ins"
    sizes = ("Aligner=isaac", "Caller=strelka", "AlignMemory=4096", "CallMemory=5120")
    with deploy(tmp_path_factory.mktemp("aws"), *sizes, path=stand_ins) as stack:
        prepare(stack, sample)
        yield stack
