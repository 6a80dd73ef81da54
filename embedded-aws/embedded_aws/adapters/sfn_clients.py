"""Clients of the interpreter, made once each under a lock.

moto makes one a task, in each branch's own thread, from boto3's default session, which is not safe for that
(stepfunctions/parser/asl/utils/boto_client.py).
"""

import threading
from typing import Any

from moto.stepfunctions.parser.asl.utils import boto_client

from embedded_aws.patches import patch_imports

_made: dict[tuple[str, str], Any] = {}
_lock = threading.Lock()
_make = boto_client.boto_client_for


def _client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    with _lock:
        if (region, service) not in _made:
            _made[region, service] = _make(region, service, state_credentials)
        return _made[region, service]


def install() -> None:
    patch_imports(boto_client, "boto_client_for", _client_for, source="2c535996", package="moto.stepfunctions")
