"""All processes of a job, whatever session they are in: known by the environment that each inherits.

As strict as a container, whose processes end with it. Only where there is a /proc.
"""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SERVER = "EMBEDDED_AWS_FOLDER"  # in the environment of each job: the folder of the server that started it
PATIENCE = 5.0  # seconds; a killed process goes as soon as it leaves the kernel


def find(environment: Mapping[str, str]) -> list[int]:
    """The processes that were started with all of these variables."""
    wanted = {f"{name}={value}".encode() for name, value in environment.items()}
    return [pid for pid in _pids() if wanted <= _environment(pid)]


def kill(environment: Mapping[str, str]) -> None:
    """Again and again: while one is looked for, another may start one more."""
    deadline = time.monotonic() + PATIENCE
    while (found := find(environment)) and time.monotonic() < deadline:
        send(found, signal.SIGKILL)
        time.sleep(0.01)


def freeze(environment: Mapping[str, str]) -> None:
    frozen: set[int] = set()
    while new := set(find(environment)) - frozen:
        send(new, signal.SIGSTOP)
        frozen |= new


def send(pids: set[int] | list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _pids() -> list[int]:
    proc = Path("/proc")
    names = os.listdir(proc) if proc.is_dir() else []  # noqa: PTH208  every entry, many times a second
    return [int(name) for name in names if name.isdigit() and int(name) != os.getpid()]


def _environment(pid: int) -> set[bytes]:
    """Empty for a process that has ended, or is another person's."""
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()
