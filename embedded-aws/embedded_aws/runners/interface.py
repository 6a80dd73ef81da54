"""The interface between a job and the runner that executes it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

STOP_GRACE = 30.0  # seconds between SIGTERM and SIGKILL; ECS's default stopTimeout


@dataclass(frozen=True)
class Mount:
    """A folder of this machine that the job sees as `target`."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class JobSpec:
    """One attempt of one job, with every reference resolved."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    vcpus: float = 1.0
    memory: int = 2048  # MiB
    mounts: list[Mount] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)  # the job definition's containerProperties


class Attempt(Protocol):
    """A job that was started."""

    def exit_code(self) -> int | None:
        """Return None while it runs, and 128 + n if signal n ended it."""

    def reason(self) -> str | None:
        """Return the container's reason as ECS reports it beside the exit code, such as OutOfMemoryError."""

    def new_lines(self) -> list[str]:
        """Return the output since the last call; after the end, all the rest."""

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds; return when the job has ended."""

    def kill(self) -> None:
        """End all its processes at once, as the loss of a host does; return when they have ended."""

    def freeze(self) -> None:
        """Suspend all its processes for good: they do nothing more and do not handle SIGTERM."""

    def close(self) -> None:
        """Remove everything it has left on this machine, child processes included."""


class Runner(Protocol):
    """Starts attempts."""

    host: str  # the name of this machine for a job

    def start(self, spec: JobSpec) -> Attempt:
        """Start a job; raise StartError."""

    def close(self) -> None:
        """Kill every job that still runs."""


class StartError(Exception):
    """The job did not start; the text is the reason that ECS would report."""
