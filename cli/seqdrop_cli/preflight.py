"""Check that the tools of a stack can start, before anything is uploaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqdrop.plan import forms, steps
from seqdrop.plan.steps import PREPARE, STEPS, Tool

from seqdrop_cli import embedded
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack

NO_IMAGE = "none"  # the tag of an image that was not pushed yet


def check_tools(stack: Stack, tools: Mapping[str, str] | None = None, form: str = "") -> None:
    """Raise CliError if the jobs of a run cannot start on this machine; a stack on AWS is not checked.

    `tools` has the aligner and the caller of a run; by default those of the stack.
    """
    server = embedded.running() if stack.is_embedded else None
    if server and (lack := describe_lack(stack, server.executor, tools or stack.default_tools, form)):
        raise CliError(lack)


def describe_lack(stack: Stack, executor: str, tools: Mapping[str, str], form: str = "") -> str:
    """Return a sentence on what a run of these tools lacks on this machine: programs or images; "" if nothing."""
    if executor == "process":
        missing = missing_programs(tools)
        return describe_missing(missing) if missing else ""
    if missing := missing_on_engine(stack, used_images(stack, tools, form)):
        command = f"bash containers/build {' '.join(missing)}"
        return f"The Docker engine has no image of {', '.join(missing)}: `{command}` builds what is missing."
    return ""


def missing_on_engine(stack: Stack, tools: Sequence[str]) -> list[str]:
    """Return those of these tools whose image, in the version of this stack, the Docker engine does not have."""
    tags, registry = image_tags(stack), stack.parameters.get("ImageRegistry")
    if not registry:
        return []
    images = {tool: f"{registry}/{tool}:{tags[tool]}" for tool in tools}
    absent = _absent_from_engine(list(images.values()))
    return [tool for tool, image in images.items() if image in absent]


def _absent_from_engine(images: Sequence[str]) -> set[str]:
    """Return the words behind `No such image: ` in the answer of the engine. The job reports other problems."""
    words = ["docker", "image", "inspect", "--format", "{{.Id}}", *images]
    try:
        errors = subprocess.run(words, capture_output=True, text=True, check=False).stderr
    except FileNotFoundError:  # the server asks the engine without this program
        return set()
    return set(re.findall(r"No such image: (\S+)$", errors, re.MULTILINE))


def missing_programs(tools: Mapping[str, str]) -> list[str]:
    """Return the programs that this aligner and this caller, and the other steps, need and this machine lacks."""
    return [program for program in steps.programs(tools) if not _is_installed(program)]


def check_images(stack: Stack, tools: Mapping[str, str], form: str = "") -> None:
    """Raise CliError if the stack has no image of a tool of a run with this aligner and caller, or of its form."""
    if missing := missing_images(stack, tools, form):
        raise CliError(f"Stack {stack.name} has no image of {', '.join(missing)} yet: {push_command(stack, missing)}.")


def missing_images(stack: Stack, tools: Mapping[str, str], form: str = "") -> list[str]:
    """Return the tools, and that of preparations, whose image was not pushed when the stack was deployed."""
    return without_image(stack, used_images(stack, tools, form))


def used_images(stack: Stack, tools: Mapping[str, str], form: str = "") -> list[str]:
    """Return the tools whose images a run of this aligner, caller and form ("": of the stack) and preparations need."""
    default = stack.parameters.get("Form", forms.SPLIT)
    has_fused = not without_image(stack, [tool.name for tool in steps.FUSED.tools])
    is_fused = forms.of_images(form, default, tools, has_fused=has_fused) == forms.FUSED
    of_run = steps.FUSED.tools if is_fused else steps.tools_of_run(tools).values()
    return [tool.name for tool in (*of_run, *PREPARE.tools)]


def joint_images() -> list[str]:
    """Return the tools whose images a joint run needs."""
    return list(dict.fromkeys(tool.name for step in steps.JOINT for tool in step.tools))


def without_image(stack: Stack, tools: Sequence[str]) -> list[str]:
    """Return those of these tools whose image was not pushed when the stack was deployed."""
    tags = image_tags(stack)
    return [name for name in tools if tags.get(name) == NO_IMAGE]


def image_tags(stack: Stack) -> dict[str, str]:
    """Return the tag of the image of each tool."""
    return dict(word.split(":", 1) for word in stack["ImageTags"].split())


def push_command(stack: Stack, tools: Sequence[str]) -> str:
    """Return the commands that push images and deploy their tags."""
    push = f"`make push STACK={stack.name} TOOLS='{' '.join(tools)}'`"
    return f"run {push} and `sam deploy --config-file stacks/{stack.name}.toml`"


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
    step = next(step for step in STEPS if any(program in tool.programs for tool in step.tools))
    others = " or ".join(f"`--{step.choice} {tool.name}`" for tool in _packaged_tools(step.tools))
    return f"{program} has no package: choose another tool with {others}."


def _packaged_tools(tools: Sequence[Tool]) -> list[Tool]:
    return [tool for tool in tools if tool.packages]
