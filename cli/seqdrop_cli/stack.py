"""Open a stack on AWS or on this machine: its outputs and its clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from seqdrop import aws
from seqdrop.plan.names import BAM
from seqdrop.runs import executions
from seqdrop.runs.dynamodb import Table
from seqdrop.storage.s3 import REQUESTS, Store

from seqdrop_cli import embedded
from seqdrop_cli.embedded import Embedded
from seqdrop_cli.errors import CliError

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

# REQUESTS: payloads carry a checksum instead of a signature; the signer also prints a traceback when Ctrl-C stops it.
SETTINGS: dict[str, Any] = {"retries": {"mode": "standard", "max_attempts": 8}, **REQUESTS}


@dataclass(frozen=True)
class Stack:
    """A deployed stack with the clients for it."""

    name: str
    outputs: Mapping[str, str]
    session: Session
    endpoint: str | None = None  # None: AWS
    is_temporary: bool = False  # started by this command, which stops it at its end
    parameters: Mapping[str, str] = field(default_factory=dict)  # of the template

    def __getitem__(self, output: str) -> str:
        """Return an output of the stack; raise CliError."""
        try:
            return self.outputs[output]
        except KeyError:
            raise CliError(f"Stack {self.name} has no output {output}: deploy it from this template.") from None

    @property
    def default_tools(self) -> dict[str, str]:
        """The aligner and the caller of runs that choose none."""
        return {"aligner": self["Aligner"], "caller": self["Caller"]}

    @property
    def default_alignment_format(self) -> str:
        """The format of the aligned reads of runs that choose none; a stack without this output knows BAM only."""
        return self.outputs.get("AlignmentFormat", BAM)

    @property
    def region(self) -> str:
        """The region of the stack."""
        region: str = self.session.get_config_variable("region")
        return region

    @property
    def is_embedded(self) -> bool:
        """Whether the stack is on this machine."""
        return self.endpoint is not None

    @property
    def pause(self) -> float:
        """Seconds between two requests for the state of a run: AWS limits their number, this machine does not."""
        return 0.4 if self.is_embedded else 3.0

    @property
    def option(self) -> str:
        """The option that a command needs for this stack, to be appended to it."""
        return "" if self.is_embedded else f" --stack {self.name}"

    def client(self, service: str) -> Any:
        """Return the client of a service that one command alone uses."""
        make: Any = aws.client  # typed for the literal names of services only
        return make(service, **self._settings)

    @cached_property
    def s3(self) -> S3Client:
        """The client of S3."""
        return aws.client("s3", **self._settings)

    @cached_property
    def store(self) -> Store:
        """The objects in S3, with verified transfers."""
        return Store(self.s3)

    @cached_property
    def stepfunctions(self) -> SFNClient:
        """The client of Step Functions."""
        return aws.client("stepfunctions", **self._settings)

    @cached_property
    def batch(self) -> BatchClient:
        """The client of Batch."""
        return aws.client("batch", **self._settings)

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """The client of CloudWatch Logs."""
        return aws.client("logs", **self._settings)

    @cached_property
    def functions(self) -> LambdaClient:
        """The client of Lambda. It never repeats a call: the first one may be late, and still have its effect."""
        once = {"read_timeout": 90, "retries": {"total_max_attempts": 1}}
        return aws.client("lambda", **{**self._settings, **once})

    @cached_property
    def queues(self) -> SQSClient:
        """The client of SQS."""
        return aws.client("sqs", **self._settings)

    @cached_property
    def table(self) -> Table:
        """The run table."""
        return Table(aws.client("dynamodb", **self._settings), self["RunTable"])

    @cached_property
    def attempts(self) -> Table:
        """The table of the attempts of jobs."""
        return Table(aws.client("dynamodb", **self._settings), self["AttemptTable"])

    def status_of(self, execution: str) -> str | None:
        """Return the status of an execution; None if it never began or ended more than 90 days ago."""
        description = executions.describe(execution, self.stepfunctions)
        return description["status"] if description else None

    def ask_start_run(self, request: Mapping[str, Any], failed: str) -> dict[str, Any]:
        """Send a request to start_run, which alone starts executions; return its outcome.

        Raises CliError if the function fails; `failed` says what could not be done.
        """
        answer = self.functions.invoke(FunctionName=self["StartRunFunction"], Payload=json.dumps(request))
        if "FunctionError" in answer:
            raise CliError(f"{failed}: see the log of the function start_run, then try again.")
        outcome: dict[str, Any]
        [outcome] = json.loads(answer["Payload"].read())["outcomes"]
        return outcome

    @property
    def max_run_cost(self) -> str:
        """What a run may cost in USD; "0" for no limit, also in stacks of a version without budgets."""
        return self.parameters.get("MaxRunCost", "0")

    @property
    def _settings(self) -> dict[str, Any]:
        return {"of": self.session, "endpoint_url": self.endpoint, **SETTINGS}


def open_stack(name: str | None, region: str | None) -> Stack:
    """Return the deployed stack with this name; without a name, the embedded AWS of this checkout."""
    if name:
        return deployed(name, region)
    server = embedded.running()
    if server is None:
        raise CliError("No embedded AWS is up: start it with `seqdrop up`, or give --stack NAME for a deployed stack.")
    return local(server)


def local(server: Embedded, *, is_temporary: bool = False) -> Stack:
    """Return the stack on an embedded AWS."""
    session = aws.new_session()
    session.set_credentials(server.access_key_id, server.secret_access_key)
    session.set_config_variable("region", server.region)
    parameters = {
        name: ",".join(value) if isinstance(value, list) else str(value) for name, value in server.parameters.items()
    }
    return Stack(embedded.NAME, server.outputs, session, server.endpoint, is_temporary, parameters)


def deployed(name: str, region: str | None) -> Stack:
    """Return a stack on AWS; raise CliError if it does not exist."""
    session = aws.new_session()
    if region:
        session.set_config_variable("region", region)
    made = Stack(name, {}, session)
    try:
        description = made.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise CliError(f"No stack {name} in {made.region}: check --stack, --region and AWS_PROFILE.") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}
    parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in description.get("Parameters", [])}
    return replace(made, outputs=outputs, parameters=parameters)
