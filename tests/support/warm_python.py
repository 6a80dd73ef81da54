"""Start Python programs from a process that has imported boto3 already: the import takes longer than most steps.

Each program is a process of its own, with its own session, environment and output, as `subprocess` would start it.
"""

from __future__ import annotations

import gc
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
import time
from functools import cache
from types import ModuleType

MESSAGE = 1 << 20  # bytes; more than any command line with its environment


class WarmProcess:
    """A started program, with the methods of `subprocess.Popen` that tests of steps use."""

    def __init__(self, words: list[str], env: dict[str, str]) -> None:
        assert _python_settings(env) == _python_settings(dict(os.environ)), "the running interpreter has its own"
        output, theirs = os.pipe()
        answers, to_answer = os.pipe()
        request = json.dumps({"words": words, "env": env}).encode()
        try:
            socket.send_fds(_interpreter(), [request], [theirs, to_answer])
        finally:
            os.close(theirs)
            os.close(to_answer)
        self._output, self._answers = output, os.fdopen(answers, "rb", buffering=0)
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

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


@cache
def _interpreter() -> socket.socket:
    """Start the process that all programs of this session are forked from; it ends with the session."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, __file__, str(there.fileno())]
    subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()])
    there.close()
    return here


def _python_settings(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


def _warm_up() -> None:
    """Import what every step imports, and read the description of S3; nothing of the layer, nothing with a thread."""
    import aws_lambda_powertools
    import boto3.s3.transfer
    import s3transfer.manager
    from botocore.loaders import JSONFileLoader

    assert aws_lambda_powertools.Logger
    assert s3transfer.manager
    JSONFileLoader.load_file = cache(JSONFileLoader.load_file)  # type: ignore[method-assign]
    boto3.session.Session("test", "test", region_name="us-east-1").client("s3")
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> list[str]:
    """Fork a process for each request. Return its command line in the forked process only."""
    waiting = selectors.DefaultSelector()
    waiting.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is requests:
                message, (output, answers), _, _ = socket.recv_fds(requests, MESSAGE, 2)
                if not message:  # the session of tests is over
                    raise SystemExit
                request = json.loads(message)
                pid = os.fork()
                if pid == 0:
                    waiting.close()
                    requests.close()
                    _become(request["env"], output)
                    return list(request["words"])
                os.write(answers, b"%d\n" % pid)
                os.close(output)
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answers))
            else:
                waiting.unregister(key.fileobj)
                os.close(key.fd)
                pid, answers = key.data
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.write(answers, b"%d\n" % code)
                os.close(answers)


def _become(env: dict[str, str], output: int) -> None:
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, 1 << 10)  # what the interpreter holds for other programs
    os.environ.clear()
    os.environ.update(env)
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
        exec(compile(program, "<string>", "exec"), main.__dict__)  # noqa: S102


def _main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    _warm_up()
    _run(_serve(requests))


if __name__ == "__main__":
    _main()
