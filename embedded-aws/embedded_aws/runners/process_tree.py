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
    variables = [f"\0{name}={value}\0".encode() for name, value in environment.items()]
    return [pid for pid in _pids() if _has(_environment(pid), variables)]


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


def _has(environment: bytes, variables: Iterable[bytes]) -> bool:
    return all(variable in environment for variable in variables)


def _environment(pid: int) -> bytes:
    """Return the environment, each variable between two zero bytes; nothing for a process of another user."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123  for each process of this machine
            return b"\0" + file.readall()
    except OSError:  # it has ended, or belongs to another user
        return b""
