"""Clients of the interpreter, made once each under a lock.

moto makes one a task, in each branch's own thread, from boto3's default session, which is not safe for that
(stepfunctions/parser/asl/utils/boto_client.py).
"""

import sys
import threading
from typing import Any

from moto.stepfunctions.parser.asl.utils import boto_client

_made: dict[tuple[str, str], Any] = {}
_lock = threading.Lock()
_make = boto_client.boto_client_for


def _client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    with _lock:
        if (region, service) not in _made:
            _made[region, service] = _make(region, service, state_credentials)
        return _made[region, service]


def install() -> None:
    for module in list(sys.modules.values()):  # each service imported the function by name
        if getattr(module, "boto_client_for", None) is _make:
            vars(module)["boto_client_for"] = _client_for
