"""The program of a function's interpreter: read an event a line, call the handler, write an answer a line.

It imports only the standard library: sys.path is that of the function.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO


class Context:
    """The context object: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    identity = None
    client_context = None

    def __init__(self, fields: dict[str, str], deadline: float) -> None:
        """Set the fields as attributes; `deadline` is in seconds since 1970."""
        self.__dict__.update(fields)
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the timeout."""
        return max(0, int((self._deadline - time.time()) * 1000))


def load() -> Callable[[Any, Context], Any]:
    """Import the handler."""
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module.replace("/", ".")), name)
    return handler


def failure(error: BaseException, request_id: str) -> dict[str, Any]:
    """Return the answer of Lambda for an exception."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def serve(answers: TextIO) -> None:
    """Answer every event on stdin."""
    handler: Callable[[Any, Context], Any] | None = None
    import_error: BaseException | None = None
    try:
        handler = load()
    except BaseException as error:  # noqa: BLE001  # it is the answer to every call
        import_error = error
    answers.write("ready\n")
    for line in sys.stdin:
        call = json.loads(line)
        request_id = call["context"]["aws_request_id"]
        try:
            if handler is None:
                raise import_error or RuntimeError("no handler")
            answer = json.dumps({"result": handler(call["event"], Context(call["context"], call["deadline"]))})
        except BaseException as error:  # noqa: BLE001  # as in Lambda, any error is the answer
            answer = json.dumps({"error": failure(error, request_id)})
        # This line marks the end of the output of this call.
        sys.stderr.flush()
        print(f"\x1e{request_id}", flush=True)  # noqa: T201  # stdout is the function's log
        answers.write(answer + "\n")


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file: a function finds its own modules first
    serve(os.fdopen(int(os.environ.pop("_ANSWERS")), "w", buffering=1))
