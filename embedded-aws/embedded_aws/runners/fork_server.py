"""Start Python programs by fork from a process that has imported modules: imports take most of the time of a short job.

Only on Linux; `fork_program.py` is the program of that process.
"""

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from . import fork_program

log = logging.getLogger(__name__)
ROOM = 32_768  # bytes of an environment; a job with more needs an interpreter of its own
# Variables that an interpreter and its libraries read when they start: they are the same in all forked processes.
AT_START = ("PYTHON", "LANG", "LC_", "LD_", "TZ", "MALLOC_", "GLIBC_", "OPENSSL_")
ANSWER_WAIT = 60.0  # seconds; with its imports, the first answer takes a few tenths
MAX_SHEBANG = 256  # bytes; Linux reads no more
START = {"LANG": "C.UTF-8"}


class ForkedProcess:
    """A process that was forked, with the methods of `subprocess.Popen` that the runner uses."""

    def __init__(self, pid: int, answers: IO[bytes]) -> None:
        """Take over a process, whose exit code comes from `answers`."""
        self.pid = pid
        self._code: int | None = None
        self._answers = answers
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return None while it runs, and -n if signal n ended it."""
        with self._lock:
            if self._code is None and self._has_ended(0):
                word, _, code = self._answers.readline().partition(b" ")
                # No answer: the process that it was forked from has ended, and the kernel has killed it.
                self._code = int(code) if word == b"ended" else -signal.SIGKILL
            return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raise TimeoutExpired after `timeout` seconds."""
        if self._code is None and not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        code = self.poll()
        assert code is not None  # noqa: S101  for mypy
        return code

    def _has_ended(self, timeout: float | None) -> bool:
        return _is_readable(self._answers, timeout)

    def __del__(self) -> None:
        """Close the pipe when no thread can read it any more."""
        self._answers.close()


class ForkServer:
    """The process that programs are forked from; it starts with the first one, and ends with this process."""

    def __init__(self, modules: Sequence[str], folder: Path) -> None:
        """Import `modules` in it, with `folder` as HOME and TMPDIR; without modules every program is started."""
        self._modules, self._folder = list(modules), folder
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._replaced: list[tuple[subprocess.Popen[bytes], socket.socket]] = []  # their programs may still run
        self._usable = bool(modules) and sys.platform == "linux"

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, output: int
    ) -> ForkedProcess | None:
        """Start a program in a folder; return None if it needs an interpreter of its own."""
        if not self._usable or not _is_script(words[0]) or _at_start(environment) != START:
            return None
        request = {
            "words": list(words),
            "environment": dict(environment),
            "folder": str(folder),
        }
        message = json.dumps(request).encode()
        if len(message) > fork_program.MESSAGE:
            return None
        answer, answers = self._ask(message, output)
        if answer == b"changed":  # another version is installed
            self._replace()
            answer, answers = self._ask(message, output)
        word, _, pid = answer.partition(b" ")
        if word == b"started":
            return ForkedProcess(int(pid), answers)
        answers.close()
        return None

    def close(self) -> None:
        """End the process, and with it all that run."""
        self._replace()
        for process, connection in self._replaced:
            connection.close()
            process.kill()
            process.wait()
        self._usable = False

    def _ask(self, message: bytes, output: int) -> tuple[bytes, IO[bytes]]:
        """Return the answer, which is empty if there is none, and the pipe of further answers."""
        reader, writer = os.pipe()
        answers = os.fdopen(reader, "rb", buffering=0)
        try:
            socket.send_fds(self._connect(), [message], [output, writer])
        except OSError as error:
            log.warning("the process that jobs are forked from: %s", error)
        finally:
            os.close(writer)
        answer = answers.readline().strip() if _is_readable(answers, ANSWER_WAIT) else b""
        if not answer:  # its jobs go on, if it runs: it ends with this server
            self._usable = False
            log.warning("further jobs are not forked: the process with %s gave no answer; its error, if there was one, "
                        "is above", ", ".join(self._modules))  # fmt: skip
        return answer, answers

    def _connect(self) -> socket.socket:
        if self._connection is None:
            self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, fork_program.__file__, str(theirs.fileno()), *self._modules],
                    env=self._environment(),
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for the server
                )
        return self._connection

    def _environment(self) -> dict[str, str]:
        folders = dict.fromkeys(fork_program.PER_PROCESS, str(self._folder))
        return {**START, **folders, "PATH": os.environ.get("PATH", os.defpath), fork_program.ROOM: "x" * ROOM}

    def _replace(self) -> None:
        if self._process and self._connection:
            self._replaced.append((self._process, self._connection))
        self._process = self._connection = None


def _is_readable(file: IO[bytes], timeout: float | None) -> bool:
    """Wait until there is something to read; return False after `timeout` seconds."""
    waiting = select.poll()  # select() knows no descriptor above 1023
    waiting.register(file, select.POLLIN)
    return bool(waiting.poll(None if timeout is None else timeout * 1000))


def _is_script(program: str) -> bool:
    """Return whether a program is a script that an installer has written for this Python."""
    path, python = Path(program), Path(sys.executable)
    if path.parent != python.parent:
        return False
    with path.open("rb") as file:
        interpreter = Path(os.fsdecode(file.readline(MAX_SHEBANG)).removeprefix("#!").rstrip("\n"))
    return interpreter.parent == python.parent and interpreter.resolve() == python.resolve()


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(AT_START)}
