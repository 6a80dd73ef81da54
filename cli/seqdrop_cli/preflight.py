"""Check that the tools of a stack are installed, before anything is uploaded."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqdrop.plan import steps
from seqdrop.plan.steps import PREPARE, STEPS, Tool

from seqdrop_cli.embedded import Embedded
from seqdrop_cli.errors import CliError


def check_tools(embedded: Embedded) -> None:
    """Raise CliError if jobs run as processes and programs of their tools are missing; images have all programs."""
    if embedded.executor == "process" and (missing := missing_programs(embedded.outputs)):
        raise CliError(describe_missing(missing))


def missing_programs(parameters: Mapping[str, str]) -> list[str]:
    """Return the programs that the tools of a stack need and this machine lacks."""
    programs = dict.fromkeys(program for tool in steps.selected_tools(parameters) for program in tool.programs)
    return [program for program in programs if not _is_installed(program)]


def _is_installed(program: str) -> bool:
    if program.startswith("/"):
        return Path(program).is_file()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return shutil.which(program, path=path) is not None


def describe_missing(programs: Sequence[str]) -> str:
    """Return a sentence on missing programs, with the command that installs them."""
    verb = "is" if len(programs) == 1 else "are"
    sentences = [f"{', '.join(programs)} {verb} not installed."]
    tools = [tool for step in (*STEPS, PREPARE) for tool in step.tools]
    providers = [tool for tool in tools if tool.packages and set(tool.programs) & set(programs)]
    if packages := list(dict.fromkeys(package for tool in providers for package in tool.packages)):
        sentences.append(f"`sudo apt-get install {' '.join(packages)}` (or `make tools`) installs what is missing.")
    packaged = {program for tool in providers for program in tool.programs}
    sentences += [_describe_unpackaged(program) for program in programs if program not in packaged]
    return " ".join(sentences)


def _describe_unpackaged(program: str) -> str:
    """Return a sentence on a program without a Debian package."""
    step = next((step for step in STEPS if any(program in tool.programs for tool in step.tools)), PREPARE)
    if not step.parameter:  # the only tool of its step: installed with the Python packages of the project
        return f"`uv sync --all-extras` installs {program} into the environment of the project."
    others = " or ".join(f"`--parameter {step.parameter}={tool.name}`" for tool in _packaged_tools(step.tools))
    return f"{program} has no package: choose another tool with {others}."


def _packaged_tools(tools: Sequence[Tool]) -> list[Tool]:
    return [tool for tool in tools if tool.packages]
