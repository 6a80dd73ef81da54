"""What a job asks of whatever runs it, and what it may ask while it runs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

STOP_GRACE = 30.0  # seconds between TERM and KILL; ECS's default stopTimeout


@dataclass(frozen=True)
class Mount:
    """A folder of this machine, seen by the job at `target`."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class JobSpec:
    """One attempt of one job, resolved: nothing in it refers to anything else."""

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
    """A started job."""

    def exit_code(self) -> int | None:
        """None while it runs; 128 + n when signal n ended it."""

    def reason(self) -> str | None:
        """What ECS would say about the container beside its exit code, such as OutOfMemoryError."""

    def new_lines(self) -> list[str]:
        """What it wrote since the last call; all the rest once it has ended."""

    def stop(self, grace: float = STOP_GRACE) -> None:
        """TERM, and KILL after `grace` seconds; returns when it is over."""

    def kill(self) -> None:
        """End all of it at once, as a host that is gone does; returns when it is over."""

    def freeze(self) -> None:
        """Stop all of it where it is, for good: it does nothing more and hears no TERM."""

    def close(self) -> None:
        """Remove everything it left on this machine, what it started included."""


class Runner(Protocol):
    """Starts attempts."""

    host: str  # the name of this machine as a job sees it

    def start(self, spec: JobSpec) -> Attempt: ...

    def close(self) -> None:
        """Kill what still runs."""


class StartError(Exception):
    """The job could not be started; the text is the reason ECS would give."""
