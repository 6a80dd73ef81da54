"""Select Docker or processes once for the whole stack, and report the reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from docker.errors import DockerException

from .docker_engine import DockerRunner
from .interface import Runner
from .process import ProcessRunner


class NoEngineError(Exception):
    """The option asks for Docker, and no engine answers."""


@dataclass(frozen=True)
class Selection:
    """The runner, with its name and the reason for it."""

    name: str
    reason: str
    runner: Runner
    gateway: str | None = None  # a second address to listen on, for containers


def select(executor: str, images: set[str], folder: Path, preload: Sequence[str] = ()) -> Selection:
    """Select the runner for `auto`, `docker` or `process`; `auto` is Docker only if the engine holds every image."""
    if executor == "process":
        return Selection("process", "asked for", ProcessRunner(folder, preload))
    engine = _engine()
    if executor == "docker":
        if engine is None:
            raise NoEngineError("no Docker engine answers, and --executor docker was asked for")
        return Selection("docker", "asked for", engine, engine.gateway())
    if engine is None:
        return Selection("process", "no Docker engine answers", ProcessRunner(folder, preload))
    if missing := engine.missing(images):
        return Selection("process", f"the engine holds no image {', '.join(missing)}", ProcessRunner(folder, preload))
    return Selection("docker", "an engine answers and holds every image", engine, engine.gateway())


def _engine() -> DockerRunner | None:
    try:
        return DockerRunner()
    except (DockerException, requests.exceptions.RequestException):
        return None
