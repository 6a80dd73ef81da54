"""Run jobs as processes of this machine, with the tools on PATH."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from . import process_tree
from .fork_server import ForkedProcess, ForkServer
from .interface import STOP_GRACE, JobSpec, Mount, StartError

# The environment variables by which all processes of an attempt are found.
IDENTITY = ("AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ATTEMPT", process_tree.SERVER)


class ProcessAttempt:
    """A process and its children, in a directory of its own."""

    def __init__(
        self,
        process: subprocess.Popen[bytes] | ForkedProcess,
        home: Path,
        output: IO[bytes],
        environment: dict[str, str],
    ) -> None:
        """Take over a process that was started in `home` and writes to `output`."""
        self._process, self._home, self._output = process, home, output
        self._identity = {name: environment[name] for name in IDENTITY}
        self._frozen = False
        self._tail = b""

    def exit_code(self) -> int | None:
        """Return None while it runs, and 128 + n if signal n ended it."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def reason(self) -> str | None:
        """Return None: a process has no container."""
        return None

    def new_lines(self) -> list[str]:
        """Return the output since the last call; after the end, all the rest."""
        ended = self._process.poll() is not None
        *lines, self._tail = (self._tail + self._output.read()).split(b"\n")
        if ended and self._tail:
            lines, self._tail = [*lines, self._tail], b""
        return [line.decode(errors="replace") for line in lines]

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds; return when the job has ended."""
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if self._frozen else grace)
        self.kill()

    def kill(self) -> None:
        """End all its processes at once; return when they have ended."""
        self.signal(signal.SIGKILL)
        process_tree.kill(self._identity)  # also those in another process group
        self._process.wait()

    def freeze(self) -> None:
        """Suspend all its processes for good."""
        self._frozen = True
        process_tree.freeze(self._identity)

    def close(self) -> None:
        """End all its processes and delete its directory."""
        self.kill()
        self.remove()

    def remove(self) -> None:
        """Delete the directory of a process that has ended."""
        self._process.wait()
        self._output.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and the children in its process group."""
        with suppress(ProcessLookupError, PermissionError):  # the group has ended
            os.killpg(self._process.pid, number)


class ProcessRunner:
    """Runs jobs as processes: memory limits, read-only roots, users and tmpfs are not enforced."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, preload: Sequence[str] = ()) -> None:
        """Run every job in a directory inside `folder`; fork Python programs from a process with modules `preload`."""
        self._folder = folder
        self._forks = ForkServer(preload, folder)
        self._attempts: set[ProcessAttempt] = set()
        self._closed = False
        self._lock = threading.Lock()

    def start(self, spec: JobSpec) -> ProcessAttempt:
        """Start a job; raise StartError."""
        with self._lock:  # so that close() sees every attempt
            if self._closed:
                raise StartError("CannotStartContainerError: the server is ending")
            attempt = _launch(spec, Path(tempfile.mkdtemp(prefix="job-", dir=self._folder)), self._forks)
            self._attempts = {other for other in self._attempts if other.exit_code() is None} | {attempt}
        return attempt

    def close(self) -> None:
        """Kill every job that still runs."""
        with self._lock:
            self._closed = True
            for attempt in self._attempts:
                attempt.signal(signal.SIGKILL)
            if self._attempts:  # what is left of all of them with one search, which takes as long as that for one
                process_tree.kill({process_tree.SERVER: str(self._folder)})
            for attempt in self._attempts:
                attempt.remove()
            self._forks.close()


def _launch(spec: JobSpec, home: Path, forks: ForkServer) -> ProcessAttempt:
    try:
        return _start(spec, home, forks)
    except OSError as error:
        shutil.rmtree(home, ignore_errors=True)
        raise StartError(f"CannotStartContainerError: {error}") from error


def _start(spec: JobSpec, home: Path, forks: ForkServer) -> ProcessAttempt:
    if not spec.command:
        raise OSError("no command specified, and a process has no image to take one from")
    environment = _environment(spec, home)
    program = shutil.which(spec.command[0], path=environment["PATH"])
    if program is None:
        raise OSError(f'exec: "{spec.command[0]}": executable file not found in $PATH')
    words, log = [program, *spec.command[1:]], home / ".log"
    with log.open("wb") as output:
        process = forks.start(words, environment, home, output.fileno()) or subprocess.Popen(
            words,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return ProcessAttempt(process, home, log.open("rb"), environment)


def _environment(spec: JobSpec, home: Path) -> dict[str, str]:
    """Return the variables of the job definition, and a PATH that begins with the scripts of this Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    variables = {name: _local_path(value, spec.mounts) for name, value in spec.environment.items()}
    server = {process_tree.SERVER: str(home.parent)}
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", **variables, **server}


def _local_path(value: str, mounts: list[Mount]) -> str:
    """Replace a mount point, which exists only in a container, by the folder behind it."""
    for mount in mounts:
        if value == mount.target or value.startswith(mount.target.rstrip("/") + "/"):
            return str(mount.source) + value[len(mount.target.rstrip("/")) :]
    return value
