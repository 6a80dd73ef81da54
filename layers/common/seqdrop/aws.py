"""Make the AWS clients of functions and jobs: most of the CPU time of a short job goes into the start of its clients.

So botocore is imported when a client is needed, and boto3, which adds nothing that is used here, is not.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

SERVICES = ("batch", "dynamodb", "ec2", "events", "lambda", "s3", "sns", "sqs", "stepfunctions")
# The three attempts that botocore makes by default give up on a throttled bucket within a second.
RETRIES = {"mode": "standard", "max_attempts": 10}


@overload
def client(service: Literal["batch"], **settings: Any) -> BatchClient: ...
@overload
def client(service: Literal["dynamodb"], **settings: Any) -> DynamoDBClient: ...
@overload
def client(service: Literal["ec2"], **settings: Any) -> Any: ...
@overload
def client(service: Literal["events"], **settings: Any) -> EventBridgeClient: ...
@overload
def client(service: Literal["lambda"], **settings: Any) -> LambdaClient: ...
@overload
def client(service: Literal["s3"], **settings: Any) -> S3Client: ...
@overload
def client(service: Literal["sns"], **settings: Any) -> SNSClient: ...
@overload
def client(service: Literal["sqs"], **settings: Any) -> SQSClient: ...
@overload
def client(service: Literal["stepfunctions"], **settings: Any) -> SFNClient: ...
def client(service: str, **settings: Any) -> Any:
    """Return a new client with the credentials of the environment; `settings` of botocore's Config, default RETRIES."""
    with _without_collection():
        from botocore.config import Config  # noqa: PLC0415  takes a tenth of a second

        return session().create_client(service, config=Config(**(settings or {"retries": RETRIES})))


@cache
def session() -> Session:
    """Return the session of this process, which keeps the descriptions of services that it has read."""
    from botocore.session import Session  # noqa: PLC0415  takes a tenth of a second

    made = Session()
    loader = made.get_component("data_loader")
    loader.list_available_services = lambda _: SERVICES  # else it looks into 400 folders
    return made


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Suspend the garbage collector, which would look through the many objects of a client again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # what exists now stays until the end of the process
            gc.enable()
