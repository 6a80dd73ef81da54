"""Clients of the interpreter, each created once under a lock.

moto creates one for each task, in the thread of the branch, from boto3's default session, which is not thread-safe, and
with an access key that this server refuses (stepfunctions/parser/asl/utils/boto_client.py). These have the key of the
role of the state machine.
"""

import threading
from typing import Any

import boto3
from botocore.config import Config
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds
from moto.stepfunctions.parser.asl.utils import boto_client

from embedded_aws import aws
from embedded_aws.keys import AccessKey, keys
from embedded_aws.patches import patch_imports

CONNECTIONS = 64  # of each client; beyond botocore's 10, hundreds of states would connect again for each call

_clients: dict[tuple[str, str, str], Any] = {}
_lock = threading.Lock()


def _client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    return client_of(state_credentials.role_arn if state_credentials else "", service, region)


def client_of(role: str, service: str, region: str = aws.REGION) -> Any:
    """Return the client of a service with the rights of a role."""
    with _lock:
        if (region, service, role) not in _clients:
            _clients[region, service, role] = _create(region, service, keys().of_role(role))
        return _clients[region, service, role]


def _create(region: str, service: str, key: AccessKey) -> Any:
    create: Any = boto3.client
    return create(
        service,
        region_name=region,
        endpoint_url=aws.endpoint(),
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            max_pool_connections=CONNECTIONS,
            connect_timeout=TimeoutSeconds.DEFAULT_TIMEOUT_SECONDS,
            read_timeout=TimeoutSeconds.DEFAULT_TIMEOUT_SECONDS,
        ),
    )


def install() -> None:
    """Patch moto."""
    patch_imports(boto_client, "boto_client_for", _client_for, source="2c535996", package="moto.stepfunctions")
