"""Fixtures: the images of the tools from Debian and PyPI, and the pipeline with its jobs in these images."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import images as buildable

ROOT = Path(__file__).parents[2]
BUILD = 2400  # seconds; the first test builds all images


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.timeout(BUILD))


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Build the images; return the image of each tool, by the name in its job definition."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")
    tools = buildable.tools()
    build = subprocess.run(["bash", ROOT / "containers/build", *tools], capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stdout[-2000:] + build.stderr[-2000:]
    lines = subprocess.run(["bash", ROOT / "containers/tag"], capture_output=True, text=True, check=True).stdout
    tags = dict(line.split() for line in lines.splitlines())
    return {tool: f"seqdrop/{tool}:{tags[tool]}" for tool in tools}


@pytest.fixture(scope="session")
def docker_stack(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Deploy with every job in a container."""
    from support.pipeline_runs import deploy

    with deploy(tmp_path_factory.mktemp("aws"), executor="docker") as stack:
        yield stack
