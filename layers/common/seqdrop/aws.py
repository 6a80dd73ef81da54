"""Make the AWS clients of functions, jobs and commands: a short job spends most of its CPU time on their start.

So botocore is imported when a client is needed, and boto3, which adds nothing that is used here, is not.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

SERVICES = ("batch", "cloudformation", "dynamodb", "ec2", "ecr", "events", "lambda", "logs", "s3", "service-quotas",
            "sns", "sqs", "stepfunctions",
            "sts", "sso", "sso-oidc", "signin")  # fmt: skip  # the last four: botocore calls them for credentials
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
def client(service: Literal["logs"], **settings: Any) -> CloudWatchLogsClient: ...
@overload
def client(service: Literal["s3"], **settings: Any) -> S3Client: ...
@overload
def client(service: Literal["sns"], **settings: Any) -> SNSClient: ...
@overload
def client(service: Literal["sqs"], **settings: Any) -> SQSClient: ...
@overload
def client(service: Literal["stepfunctions"], **settings: Any) -> SFNClient: ...
def client(service: str, of: Session | None = None, endpoint_url: str | None = None, **settings: Any) -> Any:
    """Return a new client of a session, by default with the credentials of the environment.

    `settings` are those of botocore's Config, by default RETRIES.
    """
    with _without_collection():
        made = of or session()
        from botocore.config import Config  # noqa: PLC0415  takes a tenth of a second

        config = Config(**(settings or {"retries": RETRIES}))
        return made.create_client(service, endpoint_url=endpoint_url, config=config)


@cache
def session() -> Session:
    """Return the session of this process, which keeps the descriptions of services that it has read."""
    return new_session()


def new_session() -> Session:
    """Return a new session for the clients of SERVICES."""
    # Where pyOpenSSL is installed, botocore imports it for a class that it then takes from `ssl`: 20 ms.
    sys.modules.setdefault("urllib3.contrib.pyopenssl", None)  # type: ignore[arg-type]  # None: cannot be imported
    from botocore.session import Session  # noqa: PLC0415  takes a tenth of a second

    made = Session()
    loader = made.get_component("data_loader")
    loader.list_available_services = lambda _: SERVICES  # else it looks into 400 folders
    return made


def prepare(service: str) -> None:
    """Load the modules and descriptions for clients of a service, for the processes that are forked from this one.

    It needs no credentials, and sends no request.
    """
    with _without_collection():
        loader = session().get_component("data_loader")
        import botocore.config  # noqa: F401, PLC0415  takes a tenth of a second

        loader.load_data("endpoints")
        for part in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model(service, part)


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
