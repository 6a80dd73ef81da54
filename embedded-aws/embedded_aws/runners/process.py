"""Run jobs as processes of this machine, with the tools found on PATH."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from . import process_tree
from .contract import STOP_GRACE, JobSpec, Mount, StartError

MARKS = ("AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ATTEMPT", process_tree.SERVER)  # in the environment of all it starts


class ProcessAttempt:
    """A process and all it started, in a directory of its own."""

    def __init__(
        self, process: subprocess.Popen[bytes], home: Path, output: IO[bytes], environment: dict[str, str]
    ) -> None:
        self._process, self._home, self._output = process, home, output
        self._marks = {name: environment[name] for name in MARKS}
        self._frozen = False
        self._tail = b""

    def exit_code(self) -> int | None:
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def reason(self) -> str | None:
        return None

    def new_lines(self) -> list[str]:
        ended = self._process.poll() is not None
        *lines, self._tail = (self._tail + self._output.read()).split(b"\n")
        if ended and self._tail:
            lines, self._tail = [*lines, self._tail], b""
        return [line.decode(errors="replace") for line in lines]

    def stop(self, grace: float = STOP_GRACE) -> None:
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if self._frozen else grace)
        self.kill()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        process_tree.kill(self._marks)  # what has left the group for one of its own
        self._process.wait()

    def freeze(self) -> None:
        self._frozen = True
        process_tree.freeze(self._marks)

    def close(self) -> None:
        self.kill()
        self._output.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the group is empty already
            os.killpg(self._process.pid, number)


class ProcessRunner:
    """The memory limit is told to the job, not enforced; read-only roots, users and tmpfs need a container."""

    host = "127.0.0.1"

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._running: set[ProcessAttempt] = set()
        self._closed = False
        self._lock = threading.Lock()

    def start(self, spec: JobSpec) -> ProcessAttempt:
        with self._lock:  # so that close() sees whatever was started
            if self._closed:
                raise StartError("CannotStartContainerError: the server is ending")
            attempt = _launch(spec, Path(tempfile.mkdtemp(prefix="job-", dir=self._scratch)))
            self._running = {other for other in self._running if other.exit_code() is None} | {attempt}
        return attempt

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for attempt in self._running:
                attempt.close()


def _launch(spec: JobSpec, home: Path) -> ProcessAttempt:
    try:
        return _started(spec, home)
    except OSError as error:
        shutil.rmtree(home, ignore_errors=True)
        raise StartError(f"CannotStartContainerError: {error}") from error


def _started(spec: JobSpec, home: Path) -> ProcessAttempt:
    if not spec.command:
        raise OSError("no command specified, and a process has no image to take one from")
    environment = _environment(spec, home)
    program = shutil.which(spec.command[0], path=environment["PATH"])
    if program is None:
        raise OSError(f'exec: "{spec.command[0]}": executable file not found in $PATH')
    log = home / ".log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [program, *spec.command[1:]],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return ProcessAttempt(process, home, log.open("rb"), environment)


def _environment(spec: JobSpec, home: Path) -> dict[str, str]:
    """A clean one: what the job definition says, and a PATH that finds this Python's scripts first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    own = {name: _on_this_machine(value, spec.mounts) for name, value in spec.environment.items()}
    mark = {process_tree.SERVER: str(home.parent)}
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", **own, **mark}


def _on_this_machine(value: str, mounts: list[Mount]) -> str:
    """A path under a mount point exists only in a container; here it is the folder behind the mount."""
    for mount in mounts:
        if value == mount.target or value.startswith(mount.target.rstrip("/") + "/"):
            return str(mount.source) + value[len(mount.target.rstrip("/")) :]
    return value
