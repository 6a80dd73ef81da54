"""Account, region and endpoint of this AWS, and the clients that its own parts use."""

import os
import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from .keys import AccessKey, keys

ACCOUNT = "123456789012"  # moto's default account
REGION = "us-east-1"
PARTITION = "aws"

_lock = threading.Lock()


def endpoint(host: str = "127.0.0.1") -> str:
    """Return the URL of the server, as `host` sees it."""
    return f"http://{host}:{os.environ['MOTO_PORT']}"


def client(service: str, region: str = REGION) -> Any:
    """Return the client of a service.

    Each client is created once, under a lock: threads cannot create clients from boto3's default session safely.
    """
    with _lock:
        return _client(service, region)


@cache
def _client(service: str, region: str) -> Any:
    # Any, because mypy cannot select a boto3 overload by a variable.
    create: Any = boto3.client
    return create(
        service,
        region_name=region,
        endpoint_url=endpoint(),
        aws_access_key_id=keys().server.id,
        aws_secret_access_key=keys().server.secret,
        # One attempt: a retry would run the side effect of a call twice, and this AWS does not throttle.
        config=Config(retries={"total_max_attempts": 1}, read_timeout=1000, max_pool_connections=64),
    )


def service_model(service: str) -> Any:
    """Return botocore's description of a service, read once for this and for the clients."""
    with _lock:
        return _service_model(service)


@cache
def _service_model(service: str) -> Any:
    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()  # that of boto3.client
    session: Any = boto3.DEFAULT_SESSION
    return session._session.get_service_model(service)


def variables(key: AccessKey, host: str = "127.0.0.1") -> dict[str, str]:
    """Return the environment variables with which a job or a function reaches this AWS, with its access key."""
    return {
        "AWS_ENDPOINT_URL": endpoint(host),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        **key.variables(),
    }
