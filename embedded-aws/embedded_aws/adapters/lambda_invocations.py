"""Invoke a function in an interpreter of its own, and write its output to its log group.

Replaces LambdaFunction._invoke_lambda (awslambda/models.py:981), which needs Docker, starts a container for each call
and enforces no timeout. Wraps LambdaResponse.invoke (awslambda/responses.py:51), which reads `qualifier` where clients
send `Qualifier`, and LambdaBackend.invoke (awslambda/models.py:2529), which drops it from the ARN that a function sees.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse

from embedded_aws.patches import patch

from .lambda_pool import Limits, Pool, PoolClosedError
from .lambda_worker import Worker, exited

FUNCTION_PARTS = 7  # arn:aws:lambda:region:account:function:name

_call = threading.local()
_respond = LambdaResponse.invoke
_invoke = LambdaBackend.invoke
_pool: Pool | None = None


def invoked_arn(function: Any) -> str:
    """Return the ARN that this thread's call named: with the version or the alias, if it named one."""
    return getattr(_call, "arn", None) or str(function.function_arn)


@contextmanager
def invoked_as(arn: str | None) -> Iterator[None]:
    """Set the ARN that calls in this block name."""
    _call.arn = arn
    try:
        yield
    finally:
        _call.arn = None


def qualified_arn(function: Any, name: str, qualifier: str | None) -> str:
    """Return the ARN of a call by name or ARN, with the qualifier that is part of the name or beside it."""
    base = ":".join(function.function_arn.split(":")[:FUNCTION_PARTS])
    parts = name.split(":")
    if len(parts) in (2, FUNCTION_PARTS + 1):  # name:qualifier, or an ARN with one
        qualifier = parts[-1]
    return f"{base}:{qualifier}" if qualifier else base


def _respond_qualified(self: Any) -> Any:
    _call.qualifier = self.querystring.get("Qualifier", [None])[0]
    try:
        return _respond(self)
    finally:
        _call.qualifier = None


def _invoke_qualified(
    self: Any, function_name: str, qualifier: str | None, body: Any, headers: Any, response_headers: Any
) -> Any:
    qualifier = qualifier or getattr(_call, "qualifier", None)
    function = self.get_function(function_name, qualifier)
    response_headers["x-amz-executed-version"] = str(function.version)
    with invoked_as(qualified_arn(function, function_name, qualifier)):
        return _invoke(self, function_name, qualifier, body, headers, response_headers)


def _invoke_lambda(self: Any, event: Any = None) -> tuple[str, bool, str]:
    event = json.loads(event) if isinstance(event, str) else event
    assert _pool, "start() creates it"  # noqa: S101  for the type alone
    try:
        with _pool.worker(self) as worker:
            answer, lines = worker.call(self, event, invoked_arn(self))
    except PoolClosedError:
        return json.dumps(exited("no request: the server is ending")["error"]), True, ""
    error = answer.get("error")
    _log(self, worker.stream, lines if error is None else [*lines, f"[ERROR] {json.dumps(error)}"])
    return json.dumps(error or answer["result"]), error is not None, "\n".join(lines)


def _key(function: Any) -> str:
    """Name a function with its version, its code and its environment."""
    return f"{function.function_arn}|{function.code_digest}|{json.dumps(function.environment_vars, sort_keys=True)}"


def _log(function: Any, stream: str, lines: list[str]) -> None:
    backend, group = function.logs_backend, function.logs_group_name
    backend.ensure_log_group(group)
    backend.ensure_log_stream(group, stream)
    now = int(time.time() * 1000)
    if events := [{"timestamp": now, "message": line} for line in lines if line]:
        backend.put_log_events(group, stream, events)


def start(scratch: Path, limits: Limits) -> None:
    """Create the pool of workers; `scratch` is the folder that their code is unpacked in."""
    global _pool  # noqa: PLW0603  # one server a process
    _pool = Pool(limits, partial(Worker, scratch=scratch), _key)
    _pool.watch()


def close() -> None:
    """End all workers."""
    if _pool:
        _pool.close()


def install() -> None:
    """Patch moto."""
    patch(LambdaResponse, "invoke", _respond_qualified, source="db6913d0")
    patch(LambdaBackend, "invoke", _invoke_qualified, source="0f3da1ec")
    patch(LambdaFunction, "_invoke_lambda", _invoke_lambda, source="f27d4f88")
