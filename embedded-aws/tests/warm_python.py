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
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import IO, Any

MESSAGE = 1 << 20  # bytes; more than any command line with its environment
EMBEDDED = ("embedded_aws.lifecycle",)  # what the embedded AWS imports
# Those that it calls while it deploys a stack and runs a state machine.
SERVICES = ("batch", "dynamodb", "events", "iam", "lambda", "logs", "s3", "sns", "sqs", "stepfunctions", "sts")


class WarmProcess:
    """A started program, with the methods of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        *modules: str,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        """Start `python WORDS`, forked from a process that has imported `modules`.

        stdout and stderr are one pipe, or the file descriptors given.
        """
        assert _python_settings(env) == _python_settings(os.environ), "the running interpreter has its own"
        self._output, theirs = os.pipe()
        _, interpreter = _interpreter(modules)
        request = {"words": list(words), "env": dict(env)}
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


def _warm_up(modules: Sequence[str]) -> None:
    """Import modules, and else what every step of a job imports and the description of S3: nothing with a thread."""
    from botocore.loaders import JSONFileLoader

    load_file = cache(JSONFileLoader().load_file)  # each session has a loader of its own
    JSONFileLoader.load_file = lambda _, path: load_file(path)  # type: ignore[method-assign,misc]
    for module in modules or ("aws_lambda_powertools", "boto3.s3.transfer", "s3transfer.manager", "jinja2", "yaml"):
        importlib.import_module(module)
    _load_descriptions(*(SERVICES if modules else ["s3"]))
    if modules == list(EMBEDDED):
        _read_sources()
    gc.collect()
    gc.freeze()


def _load_descriptions(*services: str) -> None:
    """Read the descriptions of services, for the clients of all programs."""
    import boto3

    session = boto3.session.Session("test", "test", region_name="us-east-1")
    for service in services:
        session.client(service)


def _read_sources() -> None:
    """Read the sources of moto that every server compares with those its adapters are for; replace nothing."""
    from embedded_aws import adapters, patches

    with patches.listing():
        adapters.patch_moto()


@dataclass(frozen=True)
class _Program:
    """A forked process."""

    pid: int
    pidfd: int
    answers: int

    def report_end(self) -> None:
        """Send the exit code."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with suppress(BrokenPipeError):
            os.write(self.answers, b"%d\n" % code)
        os.close(self.answers)
        os.close(self.pidfd)


class _Interpreter:
    """Forks a process for each request."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._ends: dict[int, _Program] = {}  # by the descriptor that is readable at the end of the program
        self._waiting = select.epoll()
        self._waiting.register(requests, select.EPOLLIN)

    def serve(self) -> list[str]:
        """Fork until the session of tests is over. Return the command line in each forked process only."""
        while True:
            for descriptor, _ in self._waiting.poll():
                if descriptor in self._ends:
                    self._forget(descriptor)
                elif words := self._fork():
                    return words

    def _fork(self) -> list[str] | None:
        message, descriptors, _, _ = socket.recv_fds(self._requests, MESSAGE, 3)
        if not message:
            raise SystemExit
        request = json.loads(message)
        output, errors, answers = descriptors
        pid = os.fork()
        if pid == 0:
            self._waiting.close()
            self._requests.close()
            _become(request, output, errors)
            return list(request["words"])
        os.close(output)
        os.close(errors)
        os.write(answers, b"%d\n" % pid)
        program = _Program(pid, os.pidfd_open(pid), answers)
        self._ends[program.pidfd] = program
        self._waiting.register(program.pidfd, select.EPOLLIN)
        return None

    def _forget(self, descriptor: int) -> None:
        self._waiting.unregister(descriptor)
        self._ends.pop(descriptor).report_end()


def _become(request: dict[str, Any], output: int, errors: int) -> None:
    """Make this forked process look like one that was started: session, environment, open files."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.closerange(3, 1 << 10)  # what the interpreter holds for other programs
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()


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
        exec(compile(program, "<string>", "exec"), main.__dict__)  # noqa: S102  the code of a test


def _main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    _warm_up(sys.argv[2:])
    _run(_Interpreter(requests).serve())


if __name__ == "__main__":
    _main()
