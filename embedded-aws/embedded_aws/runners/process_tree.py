"""Find all processes of a job by the environment that they inherit, in whatever session they are.

They end with the job, as in a container. This needs /proc.
"""

import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

SERVER = "EMBEDDED_AWS_FOLDER"  # environment variable of every job: the folder of the server that started it
KILL_TIMEOUT = 5.0  # seconds; a killed process ends as soon as it leaves the kernel


def find(environment: Mapping[str, str]) -> list[int]:
    """Return the processes that have all of these environment variables."""
    variables = {f"{name}={value}".encode() for name, value in environment.items()}
    return [pid for pid in _pids() if variables <= _environment(pid)]


def kill(environment: Mapping[str, str]) -> None:
    """Kill them until there are none: a process may start another one during the search."""
    deadline = time.monotonic() + KILL_TIMEOUT
    while (pids := find(environment)) and time.monotonic() < deadline:
        send(pids, signal.SIGKILL)
        time.sleep(0.01)


def freeze(environment: Mapping[str, str]) -> None:
    """Suspend them with SIGSTOP until none runs."""
    suspended: set[int] = set()
    while new := set(find(environment)) - suspended:
        send(new, signal.SIGSTOP)
        suspended |= new


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes; ignore those that have ended or belong to another user."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _pids() -> list[int]:
    proc = Path("/proc")
    names = os.listdir(proc) if proc.is_dir() else []  # noqa: PTH208  every entry, many times a second
    return [int(name) for name in names if name.isdigit() and int(name) != os.getpid()]


def _environment(pid: int) -> set[bytes]:
    """Return the environment, or nothing for a process that has ended or belongs to another user."""
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()
