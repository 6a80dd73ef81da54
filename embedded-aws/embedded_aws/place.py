"""Where this AWS is: its account, region, endpoint, and how its own parts call it."""

import os
import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "123456789012"  # moto's default account
REGION = "us-east-1"
PARTITION = "aws"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}  # nothing checks them

_making = threading.Lock()


def endpoint(host: str = "127.0.0.1") -> str:
    return f"http://{host}:{os.environ['MOTO_PORT']}"


def client(service: str, region: str = REGION) -> Any:
    """A client of this AWS, made once: boto3's default session is not safe to make clients from in many threads."""
    with _making:
        return _client(service, region)


@cache
def _client(service: str, region: str) -> Any:
    # Any, because mypy cannot choose a boto3 overload by a name that is a variable.
    make: Any = boto3.client
    return make(
        service,
        region_name=region,
        endpoint_url=endpoint(),
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        # One try: a retried call would run its side effect twice, and nothing here is ever throttled.
        config=Config(retries={"total_max_attempts": 1}, read_timeout=1000, max_pool_connections=64),
    )


def variables(host: str = "127.0.0.1") -> dict[str, str]:
    """The environment that leads a job or a function to this AWS."""
    return {
        "AWS_ENDPOINT_URL": endpoint(host),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        **CREDENTIALS,
    }
