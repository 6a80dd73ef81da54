"""Docker or processes: decide once for the whole stack, and say why."""

from dataclasses import dataclass
from pathlib import Path

import requests
from docker.errors import DockerException

from .contract import Runner
from .docker_engine import DockerRunner
from .process import ProcessRunner


class NoEngineError(Exception):
    """Docker was asked for and does not answer."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the sentence for the person who wonders."""

    name: str
    reason: str
    runner: Runner
    gateway: str | None = None  # a second address to listen on


def choose(wanted: str, images: set[str], scratch: Path) -> Choice:
    """`wanted` is auto, docker or process; auto is Docker only when it holds every image."""
    if wanted == "process":
        return Choice("process", "asked for", ProcessRunner(scratch))
    engine = _engine()
    if wanted == "docker":
        if engine is None:
            raise NoEngineError("no Docker engine answers, and --executor docker was asked for")
        return Choice("docker", "asked for", engine, engine.gateway())
    if engine is None:
        return Choice("process", "no Docker engine answers", ProcessRunner(scratch))
    if missing := engine.missing(images):
        return Choice("process", f"the engine holds no image {', '.join(missing)}", ProcessRunner(scratch))
    return Choice("docker", "an engine answers and holds every image", engine, engine.gateway())


def _engine() -> DockerRunner | None:
    try:
        return DockerRunner()
    except (DockerException, requests.exceptions.RequestException):
        return None
