"""Find the checkout that the command line works in, build its template and read its local parameters."""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqdrop_cli.errors import CliError

SOURCES = ("template.yaml", "functions", "statemachine", "layers")
NO_TELEMETRY = {"SAM_CLI_TELEMETRY": "0"}
MAX_LINES = 8  # of the output of a failed build


def root() -> Path:
    """Return the nearest folder above with a template.yaml, else the checkout that this command was installed from."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "template.yaml").is_file():
            return folder
    raise CliError(f"No template.yaml in {here} or above it: run seqdrop in its checkout.")


def state_folder() -> Path:
    """Return the folder of the state file and the log of the embedded AWS."""
    return root() / ".seqdrop"


def built_template() -> Path:
    """Return the template that `sam build` writes; build it again if a source is newer.

    Of several processes, one builds and the others wait: two builds at the same time delete each other's files.
    """
    project = root()
    template = project / ".aws-sam" / "build" / "template.yaml"
    with _lock(project):
        if not template.is_file() or template.stat().st_mtime < _last_change(project):
            _build(project)
    return template


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes that lock it; wait until it is free."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _last_change(project: Path) -> float:
    files = [file for source in SOURCES for file in [project / source, *(project / source).rglob("*")]]
    return max(file.stat().st_mtime for file in files if file.is_file() and "__pycache__" not in file.parts)


def _build(project: Path) -> None:
    # The folder of this Python first: sam is part of the project's environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, **NO_TELEMETRY, "PATH": path}
    try:
        done = subprocess.run(
            ["sam", "build"], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise CliError("`sam` is missing: `make .venv/ready` installs it.") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise CliError("`sam build` failed:\n  " + "\n  ".join(lines[-MAX_LINES:] or ["it printed nothing"]))


def local_parameters() -> list[str]:
    """Return the `NAME=VALUE` words in [local.deploy.parameters] of samconfig.toml: a list there, or one string."""
    config = root() / "samconfig.toml"
    if not config.is_file():
        return []
    try:
        sections = tomllib.loads(config.read_text())
    except tomllib.TOMLDecodeError as error:
        raise CliError(f"{config} is not valid TOML: {error}") from None
    return [*_overrides(sections), *image_tags()]


def image_tags() -> list[str]:
    """Return `<Tool>ImageTag=<tag>` of every image, as built from the present sources: older images are never used."""
    words = ["bash", str(root() / "containers/tag"), "--parameters"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()


def _overrides(sections: dict[str, Any]) -> list[str]:
    overrides = sections.get("local", {}).get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    return shlex.split(overrides) if isinstance(overrides, str) else [str(word) for word in overrides]
