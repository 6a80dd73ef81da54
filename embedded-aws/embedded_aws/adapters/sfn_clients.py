"""Clients of the interpreter, each created once under a lock.

moto creates one for each task, in the thread of the branch, from boto3's default session, which is not thread-safe
(stepfunctions/parser/asl/utils/boto_client.py).
"""

import threading
from typing import Any

from moto.stepfunctions.parser.asl.utils import boto_client

from embedded_aws.patches import patch_imports

_clients: dict[tuple[str, str], Any] = {}
_lock = threading.Lock()
_create = boto_client.boto_client_for


def _client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    with _lock:
        if (region, service) not in _clients:
            _clients[region, service] = _create(region, service, state_credentials)
        return _clients[region, service]


def install() -> None:
    """Patch moto."""
    patch_imports(boto_client, "boto_client_for", _client_for, source="2c535996", package="moto.stepfunctions")
