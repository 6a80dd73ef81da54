"""Images of the tools that Debian and PyPI have, built once; the pipeline with its jobs in them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = 2400  # seconds; the first test waits until all images are built, from nothing
TOOLS = ("bwa", "bwa_mem3", "bcftools", "snpeff", "samtools_stats", "multiqc", "reference")  # not Isaac, not Strelka


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.timeout(BUILD))


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Each tool's image, by the name job definitions have."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")
    built = subprocess.run(["bash", ROOT / "containers/build", *TOOLS], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    printed = subprocess.run(["bash", ROOT / "containers/tag"], capture_output=True, text=True, check=True).stdout
    tags = dict(line.split() for line in printed.splitlines())
    return {tool: f"seqdrop/{tool}:{tags[tool]}" for tool in TOOLS}


@pytest.fixture(scope="session")
def docker_stack(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from support.pipeline_runs import deployed

    with deployed(tmp_path_factory.mktemp("aws"), executor="docker") as stack:
        yield stack
