"""Invoke a function by a worker of its own, one for each call at a time, its output in its log group.

Replaces LambdaFunction._invoke_lambda (awslambda/models.py:981), which needs Docker, a container a call, and waits for
ever.
"""

import json
import threading
import time
from typing import Any

from moto.awslambda.models import LambdaFunction

from embedded_aws.patches import patch

from .lambda_worker import Worker

_idle: dict[str, list[Worker]] = {}
_all: list[Worker] = []
_lock = threading.Lock()
_closed = threading.Event()


def _invoke(self: Any, event: Any = None) -> tuple[str, bool, str]:
    event = json.loads(event) if isinstance(event, str) else event
    worker = _borrow(self)
    try:
        answer, lines = worker.call(self, event)
    finally:
        _give_back(self, worker)
    error = answer.get("error")
    _log(self, worker.stream, lines if error is None else [*lines, f"[ERROR] {json.dumps(error)}"])
    return json.dumps(error or answer["result"]), error is not None, "\n".join(lines)


def _name(function: Any) -> str:
    return f"{function.function_arn}|{function.code_digest}|{json.dumps(function.environment_vars, sort_keys=True)}"


def _borrow(function: Any) -> Worker:
    with _lock:
        idle = _idle.setdefault(_name(function), [])
        if idle:
            return idle.pop()
    worker = Worker(function)
    with _lock:
        _all.append(worker)
        if _closed.is_set():  # it started while close() went through the others
            worker.close()
    return worker


def _give_back(function: Any, worker: Worker) -> None:
    if worker.alive():
        with _lock:
            _idle[_name(function)].append(worker)
    else:
        worker.close()
        with _lock:
            _all.remove(worker)


def _log(function: Any, stream: str, lines: list[str]) -> None:
    backend, group = function.logs_backend, function.logs_group_name
    backend.ensure_log_group(group)
    backend.ensure_log_stream(group, stream)
    now = int(time.time() * 1000)
    if events := [{"timestamp": now, "message": line} for line in lines if line]:
        backend.put_log_events(group, stream, events)


def close() -> None:
    _closed.set()
    with _lock:
        for worker in _all:
            worker.close()


def install() -> None:
    patch(LambdaFunction, "_invoke_lambda", _invoke, source="f27d4f88")
