"""Are the tools here that jobs on this machine call? Asked before anything is uploaded."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from seqdrop.jobs import snpeff

from seqdrop_cli.embedded import Embedded
from seqdrop_cli.problem import Problem

ALWAYS = ("samtools", "bcftools", "bgzip", "tabix", "java", "multiqc")
BY_CHOICE = {
    "bwa": ("bwa",),
    "bwa_mem3": ("bwa",),  # itself a library of this environment, its index is built with bwa
    "isaac": ("isaac-align",),
    "bcftools": ("bcftools",),
    "strelka": ("configureStrelkaGermlineWorkflow.py",),
}
DEBIAN = {
    "samtools": "samtools",
    "bcftools": "bcftools",
    "bwa": "bwa",
    "bgzip": "tabix",
    "tabix": "tabix",
    "java": "default-jre-headless",
    "snpEff": "libsnpeff-java",
}
WHEELS = {"multiqc"}


def check_tools(embedded: Embedded) -> None:
    """Raises Problem with the one command that installs what is missing. Images carry their own tools."""
    if embedded.executor != "process":
        return
    if missing := missing_tools(embedded.outputs):
        raise Problem(sentence(missing))


def missing_tools(outputs: Mapping[str, str]) -> list[str]:
    chosen = [tool for output in ("Aligner", "Caller") for tool in BY_CHOICE.get(outputs.get(output, ""), ())]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    missing = [tool for tool in dict.fromkeys([*ALWAYS, *chosen]) if shutil.which(tool, path=path) is None]
    return missing if Path(snpeff.JAR).exists() else [*missing, "snpEff"]


def sentence(missing: list[str]) -> str:
    what = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on PATH"
    packages = list(dict.fromkeys(DEBIAN[tool] for tool in missing if tool in DEBIAN))
    if packages:
        return f"{what}: `sudo apt-get install {' '.join(packages)}` (or `make tools`) installs what is missing."
    if WHEELS.issuperset(missing):
        return f"{what}: `uv sync --all-extras` installs it into the project's environment."
    return f"{what} and no package has it: choose others, `--parameter Aligner=bwa_mem3 --parameter Caller=bcftools`."
