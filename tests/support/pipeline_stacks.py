"""The pipeline on the embedded AWS, with real tools and reads whose truth is known."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop_cli.stack import Stack

from support.pipeline_runs import Sample, deployed, make_sample, prepare

TOOLS = ("samtools", "bcftools", "bwa", "bgzip", "tabix", "java", "multiqc")


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    assert not missing, f"not installed: {', '.join(missing)}; `make tools` installs them"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """The stack of `samconfig.toml [local]`, its reference prepared."""
    with deployed(tmp_path_factory.mktemp("aws")) as found:
        prepare(found, sample)
        yield found


@pytest.fixture(scope="session")
def bwa_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    with deployed(tmp_path_factory.mktemp("aws"), "Aligner=bwa") as found:
        prepare(found, sample)
        yield found


@pytest.fixture(scope="session")
def original_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Stack]:
    """Isaac and Strelka, the template's defaults, with a stand-in for each on PATH."""
    stand_ins = Path(__file__).parent / "stand_ins"
    sizes = ("Aligner=isaac", "Caller=strelka", "AlignMemory=4096", "CallMemory=5120")
    with deployed(tmp_path_factory.mktemp("aws"), *sizes, path=stand_ins) as found:
        prepare(found, sample)
        yield found
