"""List the images that the tests build: those of every tool from Debian and PyPI."""

from __future__ import annotations

import re
from pathlib import Path

from seqdrop.plan.steps import ALL

ROOT = Path(__file__).parents[2]
CONDA = re.compile(r"^FROM \$\{CONDA\}", re.MULTILINE)  # the stage of a tool that only bioconda has


def tools() -> list[str]:
    """Return the tools whose Dockerfile has no conda stage."""
    names = dict.fromkeys(tool.name for step in ALL for tool in step.tools)
    return [name for name in names if not CONDA.search((ROOT / f"containers/{name}/Dockerfile").read_text())]
