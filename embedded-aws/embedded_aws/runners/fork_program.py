"""The program that jobs are forked from: it imports modules, then forks a process for each request.

`fork_server.py` starts it and sends the requests. It has one thread, and imports only the standard library and the
modules that it is given.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

MESSAGE = 1 << 17  # bytes of a request, at most; by default a Unix socket takes 208 KiB
DESCRIPTORS = 2  # of a request: the output of the job, and the pipe of the answers
ROOM = "EMBEDDED_AWS_ROOM"  # a long variable, in whose place a forked process shows its own environment
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # linux/prctl.h
ENV_START = 50  # number of this field in /proc/PID/stat
PER_PROCESS = {"HOME", "TMPDIR"}  # every process has its own: modules that read them find folders like them
libc = ctypes.CDLL(None)


class Variables(dict[Any, Any]):
    """The environment, which records the variables that modules read while they are imported.

    `all` is set if they read all, or set one: then each program needs an interpreter of its own.
    """

    def __init__(self, environment: dict[Any, Any]) -> None:
        """Copy the environment."""
        super().__init__(environment)
        self.names: set[str] = set()
        self.all = False

    def __getitem__(self, name: bytes) -> bytes:
        """Record the name, whether the variable exists or not."""
        self.names.add(os.fsdecode(name))
        value: bytes = super().__getitem__(name)
        return value

    def __iter__(self) -> Any:
        """Record that all variables were read."""
        self.all = True
        return super().__iter__()

    def __setitem__(self, name: bytes, value: bytes) -> None:
        """Record a change, which would be lost."""
        self.all = True
        super().__setitem__(name, value)


class Forker:
    """Forks processes, and reports their exit codes."""

    def __init__(self, connection: socket.socket, modules: list[str]) -> None:
        """Import the modules."""
        self._connection, self._pid = connection, os.getpid()
        self._room = find_room()
        self._running: dict[int, tuple[int, int]] = {}  # pid and pipe, by the descriptor that is readable at its end
        plain = os.environ._data  # type: ignore[attr-defined]  # only there does every way to read pass
        self._read = Variables(plain)
        set_variables(self._read)
        for module in modules:
            importlib.import_module(module)
        set_variables(plain)
        self._environment = dict(os.environ)
        self._files = {path: state(path) for path in map(source, list(sys.modules.values())) if path}
        gc.collect()
        gc.freeze()

    def serve(self) -> dict[str, Any]:
        """Fork until the server has ended. Return the request in each forked process only."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor in self._running:
                    waiting.unregister(descriptor)
                    self._report_end(descriptor)
                    continue
                message, descriptors, _, _ = socket.recv_fds(self._connection, MESSAGE, DESCRIPTORS)
                if not message:
                    os._exit(0)  # the server has ended, and the kernel kills its jobs
                if len(descriptors) < DESCRIPTORS:  # too many open files here: without an answer, the job is not forked
                    close_all(descriptors)
                    continue
                request = json.loads(message)
                pidfd = self._start(request, *descriptors)
                if pidfd is None:
                    return dict(request)
                if pidfd:
                    waiting.register(pidfd, select.POLLIN)

    def _start(self, request: dict[str, Any], output: int, answers: int) -> int | None:
        """Return None in the forked process; else a descriptor of it, or 0 if there is none."""
        shown = b"\0".join(os.fsencode(f"{name}={value}") for name, value in request["environment"].items())
        refusal, pid = self._refusal(request["environment"], shown), -1
        if not refusal:
            try:
                spare = os.dup(output)  # keeps one free for pidfd_open, which must not fail after the fork
                pid = os.fork()
            except OSError:  # too many processes or files, no memory: the end of this process would be that of all jobs
                refusal = b"refused\n"
        if refusal:
            os.write(answers, refusal)
            close_all([output, answers])
            return 0
        if not pid:
            self._become(request, shown, output, answers)
            return None
        close_all([spare, output])
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = pid, answers
        return pidfd

    def _refusal(self, environment: dict[str, str], shown: bytes) -> bytes | None:
        """Return the reason why a process with this environment cannot be forked, if there is one."""
        if any(state(path) != before for path, before in self._files.items()):
            return b"changed\n"
        names = self._read.names - PER_PROCESS
        differs = any(environment.get(name) != self._environment.get(name) for name in names)
        has_threads = len(os.listdir("/proc/self/task")) > 1  # noqa: PTH208  before every fork
        too_long = len(shown) >= self._room[1]
        return b"refused\n" if differs or self._read.all or has_threads or too_long else None

    def _become(self, request: dict[str, Any], shown: bytes, output: int, answers: int) -> None:
        """Make this forked process look like one that was started, and report that it can be found and signalled."""
        os.setsid()
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._pid:
            os._exit(1)
        libc.prctl(PR_SET_NAME, os.fsencode(Path(request["words"][0]).name), 0, 0, 0)
        address, size = self._room
        ctypes.memmove(address, shown.ljust(size, b"\0"), size)
        os.write(answers, b"started %d\n" % os.getpid())
        os.dup2(output, 1)
        os.dup2(output, 2)
        self._connection.detach()
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        tempfile.tempdir = None

    def _report_end(self, pidfd: int) -> None:
        pid, answers = self._running.pop(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(BrokenPipeError):  # nobody waits for it
            os.write(answers, b"ended %d\n" % code)
        close_all([answers, pidfd])


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


def set_variables(variables: dict[Any, Any]) -> None:
    """Set the mapping of os.environ and os.environb."""
    os.environ._data = os.environb._data = variables  # type: ignore[attr-defined]


def find_room() -> tuple[int, int]:
    """Return the address and the size of the variable ROOM in the memory that /proc/PID/environ shows."""
    numbers = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start = int(numbers[ENV_START - 3])  # the first field behind the name of the program has the number 3
    offset = Path("/proc/self/environ").read_bytes().index(f"{ROOM}=".encode())
    return start + offset, len(ROOM) + 1 + len(os.environ.pop(ROOM))


def source(module: ModuleType) -> str | None:
    """Return the file of a module."""
    return getattr(module, "__file__", None)


def state(path: str) -> tuple[int, int] | None:
    """Return the modification time and the size of a file, which change when it is replaced."""
    try:
        found = os.stat(path)  # noqa: PTH116  hundreds of files for every job
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def run(words: list[str]) -> None:
    """Run a Python program as its interpreter does; this process then ends as an interpreter does."""
    sys.argv, sys.path[0] = words, str(Path(words[0]).parent)
    sys.orig_argv = [sys.executable, *words]
    sys.excepthook = print_traceback
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = words[0]
    exec(compile(Path(words[0]).read_bytes(), words[0], "exec", dont_inherit=True), main.__dict__)  # noqa: S102  the job


def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an uncaught exception without the frames of this file."""
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


if __name__ == "__main__":
    os.close(os.pidfd_open(os.getpid()))  # an old kernel has none: end before the first job
    sys.path[0] = str(Path(sys.executable).parent)  # where all these programs are: not the folder of this file
    run(Forker(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]).serve()["words"])
