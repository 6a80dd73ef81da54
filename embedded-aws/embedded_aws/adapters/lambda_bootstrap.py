"""What a function's own interpreter runs: read an event a line, call the handler, answer a line.

Only the standard library, and no import of ours: sys.path here is the function's.
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
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    identity = None
    client_context = None

    def __init__(self, fields: dict[str, str], deadline: float) -> None:
        self.__dict__.update(fields)
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))


def load() -> Callable[[Any, Context], Any]:
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module.replace("/", ".")), name)
    return handler


def failure(error: BaseException, request_id: str) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def serve(answers: TextIO) -> None:
    handler: Callable[[Any, Context], Any] | None = None
    broken: BaseException | None = None
    try:
        handler = load()
    except BaseException as error:  # noqa: BLE001  # told as the answer to each call
        broken = error
    answers.write("ready\n")
    for line in sys.stdin:
        call = json.loads(line)
        request_id = call["context"]["aws_request_id"]
        try:
            if handler is None:
                raise broken or RuntimeError("no handler")
            answer = json.dumps({"result": handler(call["event"], Context(call["context"], call["deadline"]))})
        except BaseException as error:  # noqa: BLE001  # as in Lambda: whatever it was, it is the answer
            answer = json.dumps({"error": failure(error, request_id)})
        # The mark tells the reader of the output where this call's lines end.
        sys.stderr.flush()
        print(f"\x1e{request_id}", flush=True)  # noqa: T201  # stdout is the function's log
        answers.write(answer + "\n")


if __name__ == "__main__":
    serve(os.fdopen(int(os.environ.pop("_ANSWERS")), "w", buffering=1))
