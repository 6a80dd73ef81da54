"""Fixtures: the pipeline on the embedded AWS, with real tools and simulated reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the unit tests, which have the same conftest.py, do not wait for these imports
    from seqdrop_cli.stack import Stack

    from support.pipeline_runs import Sample


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """Fail at once, with the command that helps, where a program of the local deployment is missing."""
    from seqdrop.plan.steps import STEPS
    from seqdrop_cli import preflight, project

    parameters = dict(parameter.split("=", 1) for parameter in project.local_parameters())
    tools = {step.choice: parameters.get(step.parameter, step.tools[0].name) for step in STEPS if step.choice}
    missing = preflight.missing_programs(tools)
    assert not missing, f"not installed: {', '.join(missing)}; `make tools` installs them"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    from support.pipeline_runs import make_sample

    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy the stack of `samconfig.toml [local]` and prepare its reference."""
    from support.pipeline_runs import deploy, prepare

    with deploy(tmp_path_factory.mktemp("aws")) as stack:
        prepare(stack, sample)
        yield stack


@pytest.fixture(scope="session")
def bwa_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy with bwa in place of bwa-mem3, and with the HTTP API."""
    from support.pipeline_runs import deploy, prepare

    with deploy(tmp_path_factory.mktemp("aws"), "Aligner=bwa", "ApiAccess=iam") as stack:
        prepare(stack, sample)
        yield stack


@pytest.fixture(scope="session")
def original_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy with fake programs for Isaac and Strelka, the tools of the original pipeline."""
    from support.pipeline_runs import deploy, prepare

    stand_ins = Path(__file__).parent / "stand_ins"
    sizes = ("Aligner=isaac", "Caller=strelka", "AlignMemory=4096", "CallMemory=5120")
    with deploy(tmp_path_factory.mktemp("aws"), *sizes, path=stand_ins) as stack:
        prepare(stack, sample)
        yield stack
