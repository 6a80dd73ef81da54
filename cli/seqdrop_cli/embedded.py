"""Bring the embedded AWS up, find it, take it down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from seqdrop_cli import project
from seqdrop_cli.errors import CliError, uninterrupted

NAME = "seqdrop"
READY_WITHIN = 180  # seconds; a start takes two, images may have to be looked at
GONE_WITHIN = 30  # seconds; it ends its jobs first


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the embedded AWS says of itself in its state file."""

    pid: int
    endpoint: str
    region: str
    executor: str
    executor_reason: str
    outputs: dict[str, str]
    skipped: list[Any]

    @classmethod
    def read(cls, path: Path) -> Embedded | None:
        """None where there is no state file or a half-written one."""
        try:
            state = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return cls(**{field.name: state.get(field.name) for field in fields(cls)})


def state_file() -> Path:
    return project.state_folder() / f"{NAME}.json"


def running() -> Embedded | None:
    """The embedded AWS of this checkout, if its process is still there."""
    found = Embedded.read(state_file())
    return found if found and _is_ours(found.pid) else None


def start(port: int = 0, executor: str = "auto", parameters: Sequence[str] = (), extra: Sequence[str] = ()) -> Embedded:
    """Start it in the background and wait until it is ready."""
    if there := running():
        raise CliError(f"The embedded AWS is up already at {there.endpoint} (`seqdrop down` stops it).")
    words = _words(project.built_template(), port, executor, [*project.local_parameters(), *parameters])
    words += extra
    state_file().parent.mkdir(exist_ok=True)
    log = state_file().with_suffix(".log")
    with log.open("w") as file:
        # A session of its own: Ctrl-C in this terminal is for the command, which then stops it in order.
        server = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=_environment(), start_new_session=True
        )
    try:
        return _ready(server, log)
    except BaseException:
        uninterrupted(lambda: _end(server.pid))
        raise


def _words(template: Path, port: int, executor: str, parameters: Sequence[str]) -> list[str]:
    words = [sys.executable, "-m", "embedded_aws", "--template", str(template), "--stack", NAME]
    words += ["--state", str(state_file().parent), "--port", str(port), "--executor", executor]
    for parameter in parameters:
        words += ["--parameter", parameter]
    return words


def _environment() -> dict[str, str]:
    """Jobs that are processes find the tools that came as wheels beside this Python."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _ready(server: subprocess.Popen[bytes], log: Path) -> Embedded:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            said = log.read_text().strip().splitlines() or ["it said nothing"]
            raise CliError(
                f"The embedded AWS did not start: {said[-1].removeprefix('embedded_aws: ')} (all of it: {log})"
            )
        if (found := Embedded.read(state_file())) and found.pid == server.pid:  # or it is another's, started meanwhile
            return found
        time.sleep(0.1)
    raise CliError(f"The embedded AWS was not ready within {READY_WITHIN} s: see {log}")


def stop(embedded: Embedded) -> None:
    uninterrupted(lambda: _end(embedded.pid))
    state_file().unlink(missing_ok=True)


def _end(pid: int) -> None:
    if not _is_ours(pid):
        return
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + GONE_WITHIN
    while _is_ours(pid):
        if time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # it leads its own session: its jobs go with it
            deadline += GONE_WITHIN
        time.sleep(0.05)


def _is_ours(pid: int) -> bool:
    """Numbers are used again: the process must be alive and an embedded AWS."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:  # a child of ours that has just ended
            return False
    except ChildProcessError:
        pass
    return "embedded_aws" in _command_line(pid)


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        path = Path(f"/proc/{pid}/cmdline")
        try:
            return path.read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout


@contextmanager
def for_this_command(parameters: Sequence[str] = (), executor: str = "auto") -> Iterator[Embedded]:
    """Up while the block runs, down however it ends."""
    # --with-parent: gone even when this command is killed with no time to clean up.
    embedded = start(0, executor, parameters, ["--with-parent", str(os.getpid())])
    try:
        yield embedded
    finally:
        stop(embedded)
