"""The checkout the command line works in: its template, its build, its parameters for this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from seqdrop_cli.problem import Problem

SOURCES = ("template.yaml", "functions", "statemachine", "layers")
SAM_SILENT = {"SAM_CLI_TELEMETRY": "0"}


def root() -> Path:
    """The nearest folder upwards with a template.yaml, else the checkout this command was installed from."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "template.yaml").is_file():
            return folder
    raise Problem(f"No template.yaml in {here} or above it: run seqdrop inside its checkout.")


def state_folder() -> Path:
    """Where the embedded AWS keeps its state file and its log."""
    return root() / ".seqdrop"


def built_template() -> Path:
    """The template as `sam build` leaves it, built anew when a source is younger."""
    project = root()
    built = project / ".aws-sam" / "build" / "template.yaml"
    if not built.is_file() or built.stat().st_mtime < _youngest(project):
        _build(project)
    return built


def _youngest(project: Path) -> float:
    files = [file for source in SOURCES for file in [project / source, *(project / source).rglob("*")]]
    return max(file.stat().st_mtime for file in files if file.is_file() and "__pycache__" not in file.parts)


def _build(project: Path) -> None:
    # Beside this Python first: sam is a part of the project's environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, **SAM_SILENT, "PATH": path}
    try:
        done = subprocess.run(
            ["sam", "build"], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Problem("`sam` is missing: `uv sync --all-extras` installs it into the project's environment.") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Problem("`sam build` failed:\n  " + "\n  ".join(lines[-8:] or ["it said nothing"]))


def local_parameters() -> list[str]:
    """`K=V` words of [local.deploy.parameters] in samconfig.toml, a list there or one string."""
    config = root() / "samconfig.toml"
    if not config.is_file():
        return []
    try:
        sections = tomllib.loads(config.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"{config} is no TOML: {error}") from None
    given = _words_of(sections)
    return [*given, *image_tags()]


def image_tags() -> list[str]:
    """Return `<Tool>ImageTag=<tag>` of every image, as built from the present sources: older images are never used."""
    words = ["bash", str(root() / "containers/tag"), "--parameters"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()


def _words_of(sections: dict[str, Any]) -> list[str]:
    given = sections.get("local", {}).get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    return shlex.split(given) if isinstance(given, str) else [str(word) for word in given]
