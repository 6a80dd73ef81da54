"""A warm interpreter of a function, with its timeout: it reads an event a line and writes an answer a line."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from embedded_aws import aws
from embedded_aws.keys import keys

from . import lambda_bootstrap
from .lambda_packages import unpack

LOG_WAIT = 1.0  # seconds to wait for the last output line of a call after its answer
INIT_WAIT = 30.0  # seconds to import the function, outside of its timeout; Lambda allows ten
Answer = dict[str, Any]


class Worker:
    """One interpreter, for one call at a time."""

    def __init__(self, function: Any, scratch: Path) -> None:
        """Start the interpreter, with the code of the function in `scratch`, which all workers share."""
        self.stream = f"{time.strftime('%Y/%m/%d')}/[{function.version}]{uuid.uuid4().hex}"
        self._output: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader, writer = os.pipe()
        self._process = self._start(function, scratch, writer)
        os.close(writer)
        _read_lines(self._process.stdout, self._output)
        _read_lines(os.fdopen(reader), self._answers)
        self._ready = False
        with suppress(queue.Empty):  # not ready in time: the first call waits on
            self._await_ready(INIT_WAIT)

    def call(self, function: Any, event: Any, arn: str) -> tuple[Answer, list[str]]:
        """Return the answer to an event, and the output lines; `arn` is the ARN that the caller used."""
        request_id = str(uuid.uuid4())
        timeout = float(function.timeout)
        context = _context(function, arn, request_id, self.stream)
        call = {"event": event, "context": context, "deadline": time.time() + timeout}
        try:
            self._process.stdin.write(json.dumps(call) + "\n")
            self._process.stdin.flush()
            if not self._ready:
                self._await_ready(timeout)
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            return _timed_out(request_id, timeout), self._output_of(request_id)
        except BrokenPipeError:
            line = None
        answer: Answer = json.loads(line) if line is not None else exited(request_id)
        return answer, self._output_of(request_id)

    def _await_ready(self, timeout: float) -> None:
        """Wait until the function is imported; raise queue.Empty after `timeout` seconds."""
        if self._answers.get(timeout=timeout) is None:  # the interpreter has ended: the call reads that too
            self._answers.put(None)
        self._ready = True

    def alive(self) -> bool:
        """Return whether the interpreter runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Kill the interpreter."""
        self._process.kill()
        self._process.wait()

    def _start(self, function: Any, scratch: Path, writer: int) -> Any:
        path = unpack(function, scratch)
        return subprocess.Popen(
            # -S: without the site-packages of the server.
            [sys.executable, "-S", lambda_bootstrap.__file__],
            env=_environment(function, path, self.stream) | {"_ANSWERS": str(writer)},
            cwd=path[0],
            pass_fds=[writer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _output_of(self, request_id: str) -> list[str]:
        lines: list[str] = []
        try:
            while (line := self._output.get(timeout=LOG_WAIT)) not in (None, f"\x1e{request_id}"):
                lines.append(str(line))
        except queue.Empty:
            pass
        return lines


def _read_lines(stream: Any, lines: queue.SimpleQueue[str | None]) -> None:
    def read() -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()


def _environment(function: Any, path: list[Path], stream: str) -> dict[str, str]:
    """Return the environment: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONUNBUFFERED": "1",
        "LAMBDA_TASK_ROOT": str(path[0]),
        "_HANDLER": function.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.logs_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        **aws.variables(keys().of_role(function.role)),
        **{name: str(value) for name, value in function.environment_vars.items()},
    }


def _context(function: Any, arn: str, request_id: str, stream: str) -> dict[str, str]:
    return {
        "aws_request_id": request_id,
        "function_name": function.function_name,
        "function_version": str(function.version),
        "invoked_function_arn": arn,
        "memory_limit_in_mb": str(function.memory_size),
        "log_group_name": function.logs_group_name,
        "log_stream_name": stream,
    }


def _timed_out(request_id: str, timeout: float) -> Answer:
    message = f"{request_id} Task timed out after {timeout:.2f} seconds"
    return {"error": {"errorType": "Sandbox.Timedout", "errorMessage": f"RequestId: {message}"}}


def exited(request_id: str) -> Answer:
    """Return the answer of Lambda for an interpreter that has ended."""
    return {
        "error": {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: Runtime exited"}
    }
