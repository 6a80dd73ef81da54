"""A stack as every command sees it: its outputs and its clients, on AWS or on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from seqdrop_cli import embedded
from seqdrop_cli.embedded import Embedded
from seqdrop_cli.errors import CliError

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

# Payloads carry checksums. Signed too, they would be read by a signer that prints a traceback when Ctrl-C ends it.
SETTINGS = Config(retries={"mode": "standard", "max_attempts": 8}, s3={"payload_signing_enabled": False})
# "classic": the CRT client that boto3 would pick beside awscrt ignores endpoint_url.
TRANSFER = TransferConfig(preferred_transfer_client="classic", multipart_chunksize=32 << 20, max_concurrency=8)


@dataclass(frozen=True)
class Stack:
    name: str
    outputs: Mapping[str, str]
    session: boto3.Session
    endpoint: str | None = None  # None is AWS
    ends_with_us: bool = False  # this command started it and takes it down

    def __getitem__(self, output: str) -> str:
        try:
            return self.outputs[output]
        except KeyError:
            raise CliError(f"Stack {self.name} has no output {output}: was it deployed from this template?") from None

    @property
    def is_embedded(self) -> bool:
        return self.endpoint is not None

    @property
    def pause(self) -> float:
        """Seconds between two looks at a run: AWS throttles, this machine does not."""
        return 0.4 if self.is_embedded else 3.0

    @property
    def option(self) -> str:
        """What to add to a command so that it means this stack."""
        return "" if self.is_embedded else f" --stack {self.name}"

    @cached_property
    def s3(self) -> S3Client:
        return self.session.client("s3", **self._settings)

    @cached_property
    def stepfunctions(self) -> SFNClient:
        return self.session.client("stepfunctions", **self._settings)

    @cached_property
    def batch(self) -> BatchClient:
        return self.session.client("batch", **self._settings)

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        return self.session.client("logs", **self._settings)

    @cached_property
    def functions(self) -> LambdaClient:
        # An answer that is late is no reason to ask again: the first call goes on, and may have done it.
        patient = SETTINGS.merge(Config(read_timeout=90, retries={"total_max_attempts": 1}))
        return self.session.client("lambda", **{**self._settings, "config": patient})

    @cached_property
    def queues(self) -> SQSClient:
        return self.session.client("sqs", **self._settings)

    @cached_property
    def table(self) -> Table:
        return self.session.resource("dynamodb", **self._settings).Table(self["RunTable"])

    def status_of(self, execution: str) -> str | None:
        """None for an execution that never began, or is forgotten."""
        try:
            return self.stepfunctions.describe_execution(executionArn=execution)["status"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
            return None

    @property
    def _settings(self) -> dict[str, Any]:
        return {"endpoint_url": self.endpoint, "config": SETTINGS}


def open_stack(name: str | None, region: str | None) -> Stack:
    """The deployed stack of that name; with no name the embedded AWS of this checkout."""
    if name:
        return deployed(name, region)
    found = embedded.running()
    if found is None:
        raise CliError("Nothing is up here: `seqdrop up` starts the embedded AWS, --stack NAME means a deployed stack.")
    return local(found)


def local(found: Embedded, *, ends_with_us: bool = False) -> Stack:
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=found.region)  # noqa: S106  the embedded AWS takes any
    return Stack(embedded.NAME, found.outputs, session, found.endpoint, ends_with_us)


def deployed(name: str, region: str | None) -> Stack:
    session = boto3.Session(region_name=region)
    cloudformation = session.client("cloudformation", config=SETTINGS)
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise CliError(
            f"There is no stack {name} in {session.region_name}: check --stack, --region, AWS_PROFILE."
        ) from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    return Stack(name, outputs, session)
