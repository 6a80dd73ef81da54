"""Fixtures: the pipeline on the embedded AWS, with real tools and simulated reads."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop.plan import steps
from seqdrop_cli import project
from seqdrop_cli.stack import Stack

from support.pipeline_runs import Sample, deploy, make_sample, prepare


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """Fail at once, with the command that helps, where a program of the local deployment is missing."""
    parameters = dict(parameter.split("=", 1) for parameter in project.local_parameters())
    programs = {program for tool in steps.selected_tools(parameters) for program in tool.programs}
    missing = sorted(program for program in programs if not is_installed(program))
    assert not missing, f"not installed: {', '.join(missing)}; `make tools` installs them"


def is_installed(program: str) -> bool:
    """Return True if jobs find the program: by its path, in the Python environment or on PATH."""
    environment = Path(sys.executable).parent
    return Path(environment, program).is_file() or shutil.which(program) is not None


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
    """Deploy with bwa in place of bwa-mem3."""
    with deploy(tmp_path_factory.mktemp("aws"), "Aligner=bwa") as stack:
        prepare(stack, sample)
        yield stack


@pytest.fixture(scope="session")
def original_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Deploy with Isaac and Strelka, the defaults of the template; a fake program stands for each."""
    stand_ins = Path(__file__).parent / "stand_ins"
    sizes = ("Aligner=isaac", "Caller=strelka", "AlignMemory=4096", "CallMemory=5120")
    with deploy(tmp_path_factory.mktemp("aws"), *sizes, path=stand_ins) as stack:
        prepare(stack, sample)
        yield stack
