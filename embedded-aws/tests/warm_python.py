"""Start Python programs from a process that has imported their libraries already: the import takes most of their time.

Each program is a process of its own, with its own session, environment and output, as `subprocess` would start it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import IO, Any

MESSAGE = 1 << 20  # bytes; more than any command line with its environment
_listening: list[subprocess.Popen[bytes]] = []  # each ends when its stdin, which is open here, is closed
EMBEDDED = ("embedded_aws.lifecycle",)  # what the embedded AWS imports


class WarmProcess:
    """A started program, with the methods of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        *modules: str,
        stdout: int | None = None,
        stderr: int | None = None,
        executable: Path | None = None,
    ) -> None:
        """Start `python WORDS`, forked from a process that has imported `modules`.

        stdout and stderr are one pipe, or the file descriptors given. `executable` becomes `sys.executable`.
        """
        assert _python_settings(env) == _python_settings(os.environ), "the running interpreter has its own"
        self._output, theirs = os.pipe()
        _, interpreter = _interpreter(modules)
        request = {"words": list(words), "env": dict(env), "executable": str(executable or sys.executable)}
        answers, to_answer = os.pipe()
        try:
            descriptors = [theirs if stdout is None else stdout, theirs if stderr is None else stderr, to_answer]
            socket.send_fds(interpreter, [json.dumps(request).encode()], descriptors)
        finally:
            os.close(theirs)
            os.close(to_answer)
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    @cached_property
    def stdout(self) -> IO[str]:
        """The output of the program, for readers of lines."""
        return os.fdopen(self._output)

    def poll(self) -> int | None:
        ready = self.returncode is None and select.select([self._answers], [], [], 0)[0]
        return self.wait() if ready else self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._answers.readline())
            self._answers.close()
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Return what the program prints until nothing holds its output open."""
        deadline, printed = time.monotonic() + timeout, b""
        while True:
            if not select.select([self._output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout, printed)
            more = os.read(self._output, 1 << 16)
            if not more:
                break
            printed += more
        os.close(self._output)
        self.wait(max(0.0, deadline - time.monotonic()))
        return printed.decode(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def parent_pid(*modules: str) -> int:
    """Return the process that programs with these modules are forked from; it ends with this session of tests."""
    return _interpreter(modules)[0]


@cache
def _interpreter(modules: tuple[str, ...]) -> tuple[int, socket.socket]:
    """Start the process that programs are forked from; return its pid and the socket for requests."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, __file__, str(there.fileno()), *modules]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()])
    there.close()
    return process.pid, here


def _python_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


def listen(path: Path, *modules: str) -> Path:
    """Start a process that forks programs for the clients of a Unix socket; return its path.

    It ends with this process.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        server.listen(64)
        command = [sys.executable, __file__, str(server.fileno()), *modules]
        _listening.append(subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[server.fileno()]))
    return path


# A program that has its command line run by the process behind a Unix socket, and ends with its exit code.
CLIENT = """#!{python} -IS
import json, os, socket, sys
answers, to_answer = os.pipe()
request = {{"words": ["-m", "{module}", *sys.argv[1:]], "env": dict(os.environ), "cwd": os.getcwd()}}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect("{path}")
    socket.send_fds(server, [json.dumps(request).encode()], [1, 2, to_answer])
os.close(to_answer)
with os.fdopen(answers) as lines:
    lines.readline()
    code = int(lines.readline())
sys.exit(code if code >= 0 else 128 - code)
"""


def write_client(program: Path, module: str, path: Path) -> None:
    """Write a program that has `python -m module` run by the process that listens at a path."""
    program.write_text(CLIENT.format(python=sys.executable, module=module, path=path))
    program.chmod(0o755)


def _warm_up(modules: Sequence[str]) -> None:
    """Import modules, and else what every step of a job imports and the description of S3: nothing with a thread."""
    if not modules:
        from botocore.loaders import JSONFileLoader

        JSONFileLoader.load_file = cache(JSONFileLoader.load_file)  # type: ignore[method-assign]
        for module in ("aws_lambda_powertools", "boto3.s3.transfer", "s3transfer.manager"):
            importlib.import_module(module)
        import boto3

        boto3.session.Session("test", "test", region_name="us-east-1").client("s3")
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> list[str]:
    """Fork a process for each request. Return its command line in the forked process only."""
    waiting = selectors.DefaultSelector()
    waiting.register(requests, selectors.EVENT_READ)
    if _is_listening(requests):
        waiting.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.data:
                _report_end(waiting, key)
            elif key.fileobj is sys.stdin:
                raise SystemExit
            elif received := _receive(requests):
                request, descriptors = received
                pid = os.fork()
                if pid == 0:
                    waiting.close()
                    requests.close()
                    _become(request, *descriptors)
                    return list(request["words"])
                *outputs, answers = descriptors
                os.write(answers, b"%d\n" % pid)
                for descriptor in outputs:
                    os.close(descriptor)
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answers))


def _is_listening(requests: socket.socket) -> bool:
    return bool(requests.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _receive(requests: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Receive a request and its file descriptors; raise SystemExit when the session of tests is over."""
    if not _is_listening(requests):
        message, descriptors, _, _ = socket.recv_fds(requests, MESSAGE, 3)
        if not message:
            raise SystemExit
        return json.loads(message), descriptors
    with requests.accept()[0] as client:
        message, descriptors, _, _ = socket.recv_fds(client, MESSAGE, 3)
    return (json.loads(message), descriptors) if message else None  # None: the client was killed


def _report_end(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Send the exit code of a program that has ended."""
    waiting.unregister(key.fileobj)
    os.close(key.fd)
    pid, answers = key.data
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):  # the client was killed
        os.write(answers, b"%d\n" % code)
    os.close(answers)


def _become(request: dict[str, Any], output: int, errors: int, answers: int) -> None:
    """Make this forked process look like one that was started: session, environment, open files."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(errors, 2)
    if "cwd" in request:
        os.dup2(answers, 3, inheritable=False)
    os.closerange(4 if "cwd" in request else 3, 1 << 10)  # what the interpreter holds for other programs
    os.environ.clear()
    os.environ.update(request["env"])
    sys.executable = str(request.get("executable", sys.executable))
    random.seed()
    if "cwd" in request:
        os.chdir(str(request["cwd"]))
        threading.Thread(target=_end_with_client, daemon=True).start()


def _end_with_client() -> None:
    """End this process when its client is killed: nothing else would find it, since it has another environment."""
    closed = select.poll()
    closed.register(3, 0)  # POLLERR alone: nobody reads the pipe
    closed.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def _run(words: list[str]) -> None:
    """Run a program as `python -c PROGRAM ...` and `python -m MODULE ...` do."""
    option, program, *more = words
    sys.path[0] = ""
    if option == "-m":
        sys.argv = [program, *more]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *more]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(program, "<string>", "exec"), main.__dict__)  # noqa: S102


def _main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    _warm_up(sys.argv[2:])
    _run(_serve(requests))


if __name__ == "__main__":
    _main()
