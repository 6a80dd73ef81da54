"""Create the stack of the template on moto, in this process, and load its functions."""

from __future__ import annotations

import copyreg
import importlib.util
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from itertools import count
from logging import StreamHandler
from pathlib import Path
from threading import Condition
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.useragent import UserAgentString
from cryptography.hazmat.primitives.asymmetric import rsa
from embedded_aws.adapters import json_structures, s3_checksums
from embedded_aws.intrinsics import Resolver
from embedded_aws.template import parse as parse_yaml
from moto import backend_index, mock_aws
from moto.backends import get_backend
from moto.core import models as moto_core
from moto.core.base_backend import BaseBackend
from moto.core.serialize import BaseJSONSerializer
from moto.s3 import models as s3_models
from moto.s3.responses import S3Response
from moto.sns import models as sns_models
from moto.sqs.models import sqs_backends
from moto.stepfunctions.models import stepfunctions_backends
from seqdrop import aws
from seqdrop.log import logger
from seqdrop.runs import attempts, executions, messages, notify, prices, queues, run_event, table
from seqdrop.storage import s3

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION = "123456789012", "us-east-1"
FASTQS, RESULTS, REFERENCES = "seqdrop-fastqbucket", "seqdrop-resultsbucket", "seqdrop-referencebucket"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:seqdrop-pipeline"
JOINT_MACHINE = MACHINE.replace("-pipeline", "-joint")
LAST_RESORT = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/seqdrop-last-resort"
NORMAL_PRIORITY = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/seqdrop-default"
HIGH_PRIORITY = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/seqdrop-high-priority"
FINGERPRINT = "5f0c7b1e9d3a42688e17"
SOURCES = {
    kind: {
        "uri": f"s3://{REFERENCES}/demo/source/demo.{suffix}",
        "version_id": version_id,
        "etag": etag,
        "size": size,
        "crc64nvme": crc64nvme,
    }
    for kind, suffix, version_id, etag, size, crc64nvme in (
        ("fasta", "fa.gz", "6FqQ3zGkq0ibXh1c", "0f343b0931126a20f133d67c2b018a3b", 88_231, "rosUhgp5mIg="),
        ("genes", "gtf", "pTx7vLk2mWcR9eYd", "9e107d9d372bb6826bd81d3542a419d6", 4_102, "5ZpIH3p3Wbg="),
    )
}
SERVICES = {
    "batch",
    "dynamodb",
    "ec2",
    "ecr",
    "events",
    "iam",
    "awslambda",
    "logs",
    "s3",
    "servicequotas",
    "sns",
    "sqs",
    "stepfunctions",
    "sts",
}
_patterns = [entry for entry in backend_index.backend_url_patterns if entry[0] in SERVICES]
_find_urls: Any = BaseBackend.urls.fget  # type: ignore[attr-defined]  # a property
_found: dict[type, dict[str, Any]] = {}  # by the class of a service
_saved: dict[str, dict[str, Any]] = {}  # the resources of the stack and the backends that they were created in
_stacks: list[Deployed] = []  # at most one: it records the calls of the functions
_clients: dict[str, Any] = {}  # of the functions, by service and settings
_make_client: Any = aws.client
copyreg.pickle(Condition, lambda _: (Condition, ()))  # of a queue of moto: its copy has a lock of its own
# The values of `Ref` in the environment of a function, beside the parameters.
RESOURCES = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "seqdrop",
    "StartRunFunction": "seqdrop-start_run",
    "PipelineStateMachine": MACHINE,
    "PipelineStateMachineAliaslive": f"{MACHINE}:live",
    "JointStateMachineAliaslive": f"{JOINT_MACHINE}:live",
    "RunTable": "seqdrop-RunTable",
    "AttemptTable": "seqdrop-AttemptTable",
    "RunTopic": f"arn:aws:sns:{REGION}:{ACCOUNT}:seqdrop-RunTopic",
    "FastqBucket": FASTQS,
    "ResultsBucket": RESULTS,
    "ReferenceBucket": REFERENCES,
    "DefaultJobQueue": NORMAL_PRIORITY,
    "HighPriorityJobQueue": HIGH_PRIORITY,
    "LastResortJobQueue": LAST_RESORT,
    "StartQueue": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/seqdrop-StartQueue",
}
LETTERS = {"HeadObject": "GetObject", "ListObjectsV2": "ListBucket"}  # calls that IAM knows by another name
PREFIXES = {"SFN": "states", "EventBridge": "events"}  # and services


@cache
def template() -> dict[str, Any]:
    parsed: dict[str, Any] = parse_yaml((ROOT / "template.yaml").read_text())
    return parsed


@cache
def parameters() -> dict[str, str]:
    """Return the parameters of the stack on one machine: those of the template, then `samconfig.toml [local]`."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    overrides = config["local"]["deploy"]["parameters"]["parameter_overrides"]
    defaults = {name: str(value["Default"]) for name, value in template()["Parameters"].items()}
    local = dict(override.split("=", 1) for override in overrides)
    tags = {name: "0123456789ab" for name in defaults if name.endswith("ImageTag")}
    return {**defaults, **tags, **local}


class Values:
    """The values of the intrinsic functions in the environment of a function, which has no conditions and mappings."""

    def ref(self, name: str) -> Any:
        """Return the value of `Ref`."""
        value = RESOURCES[name] if name in RESOURCES else parameters()[name]
        kind = template()["Parameters"].get(name, {}).get("Type")
        return value.split(",") if kind == "CommaDelimitedList" else value

    def attribute(self, name: str, attribute: str) -> str:
        """Return the ARN of a job definition."""
        assert attribute == "JobDefinitionArn"
        return f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/seqdrop-{name.removesuffix('JobDefinition')}:1"

    def condition(self, name: str) -> bool:
        raise NotImplementedError

    def mapping(self, name: str, first: str, second: str) -> Any:
        raise NotImplementedError


def environment(name: str) -> dict[str, str]:
    """Return the environment that the template gives to one function."""
    resolver = Resolver(Values())
    shared = template()["Globals"]["Function"]["Environment"]["Variables"]
    own = resource(name)["Environment"]["Variables"]
    return {variable: str(resolver.value(value)) for variable, value in {**shared, **own}.items()}


def resource(name: str) -> dict[str, Any]:
    """Return the properties of a function by the name of its folder."""
    logical = "".join(word.capitalize() for word in name.split("_")) + "Function"
    properties: dict[str, Any] = template()["Resources"][logical]["Properties"]
    return properties


def allowed_actions(name: str) -> set[str]:
    """Return the IAM actions that the role of a function allows."""
    written = [line for policy in resource(name)["Policies"] for line in policy["Statement"]]
    statements = [line["Fn::If"][1] if "Fn::If" in line else line for line in written]
    actions = [line["Action"] for line in statements]
    return {action for entry in actions for action in ([entry] if isinstance(entry, str) else entry)}


def event(name: str) -> Any:
    """Return one of `events/*.json`."""
    return json.loads((ROOT / f"events/{name}.json").read_text())


def object_created(key: str, version_id: str) -> dict[str, Any]:
    """Return the EventBridge event of a new object; without versioning it has no version."""
    message: dict[str, Any] = event("eventbridge_object_created")
    message["detail"]["object"]["key"] = key
    message["detail"]["object"]["version-id"] = version_id
    if not version_id:
        del message["detail"]["object"]["version-id"]
    return message


def s3_put(key: str, version_id: str) -> dict[str, Any]:
    """Return the event of S3 itself, with a URL-encoded key."""
    message: dict[str, Any] = event("s3_put")
    message["Records"][0]["s3"]["object"] |= {"key": quote_plus(key, safe="/"), "versionId": version_id}
    return message


def create_run_table(name: str, resource: str = "RunTable") -> None:
    """Create the run table of the template, or that of the attempts."""
    described = template()["Resources"][resource]["Properties"]
    same = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    client("dynamodb").create_table(TableName=name, **{word: described[word] for word in same if word in described})


@dataclass
class Deployed:
    """The stack, and the calls that tests make often."""

    monkeypatch: pytest.MonkeyPatch
    calls: set[str] = field(default_factory=set)  # IAM actions of every call made since the last `load`
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.s3, self.states, self.sqs, self.table = client("s3"), client("stepfunctions"), client("sqs"), run_table()
        self.inbox = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/inbox"
        if _saved:
            restore_resources()
        else:
            create_resources()
            save_resources()

    def load(self, name: str) -> Any:
        """Load the module of one function again, in its environment of the template; `call` runs its handler."""
        forget_environment()
        for variable, value in environment(name).items():
            self.monkeypatch.setenv(variable, value)
        path = ROOT / f"functions/{name}/app.py"
        spec = importlib.util.spec_from_file_location(f"{name}_{next(self._numbers)}", path)
        assert spec
        assert spec.loader
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:seqdrop-{name}"
        context = SimpleNamespace(
            function_name=name, memory_limit_in_mb=256, invoked_function_arn=arn, aws_request_id="52fdfc07-2182"
        )
        module.call = lambda request: module.handler(deepcopy(request), context)
        self.calls.clear()
        return module

    def put(self, key: str, body: bytes, **choices: str) -> dict[str, Any]:
        """Upload a FASTQ with choices for its run; return its event."""
        metadata = {f"seqdrop-{name}": value for name, value in choices.items()}
        stored = self.s3.put_object(Bucket=FASTQS, Key=key, Body=body, Metadata=metadata)
        return object_created(key, stored.get("VersionId", ""))

    def prepare(self, name: str = "demo", *indexes: str, fingerprint: str = FINGERPRINT, **more: Any) -> None:
        """Write the file of a prepared reference that start_run reads."""
        summary = {
            "name": name,
            "contigs": [{"name": "demo1", "length": 300_000, "md5": "0" * 32}],
            "fingerprint": fingerprint,
            "indexes": indexes or ("bwa_mem3", "snpeff"),
            "sources": SOURCES,
            **more,
        }
        self.s3.put_object(Bucket=REFERENCES, Key=f"{name}/reference.json", Body=json.dumps(summary).encode())

    def sent(self) -> list[dict[str, Any]]:
        """Return the messages in the queue of start_run and remove them, in the order in which they were sent.

        Each is an event of Lambda with one message; `delay` is the delay of the message in seconds.
        """
        queue = sqs_backends[ACCOUNT][REGION].queues["seqdrop-StartQueue"]
        messages, queue._messages = queue._messages, []
        delays = [
            round(max(0, message.delayed_until - float(message.sent_timestamp or 0)) / 1000) for message in messages
        ]
        return [
            {"delay": delay, "Records": [{"eventSource": "aws:sqs", "messageId": one.id, "body": one.body}]}
            for delay, one in zip(delays, messages, strict=True)
        ]

    def watch_events(self) -> None:
        """Send the events of the pipeline itself to a queue, from which `events` reads them."""
        queue, bus = self.sqs.create_queue(QueueName="events"), client("events")
        bus.put_rule(Name="run-finished", EventPattern=json.dumps({"source": ["seqdrop"]}))
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"
        bus.put_targets(Rule="run-finished", Targets=[{"Id": "events", "Arn": arn}])
        self.event_queue = queue["QueueUrl"]

    def events(self) -> list[dict[str, Any]]:
        """Return the events since `watch_events`, and remove them."""
        received = self.sqs.receive_message(QueueUrl=self.event_queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in received:
            self.sqs.delete_message(QueueUrl=self.event_queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in received]

    def executions(self) -> list[str]:
        """Return the names of all executions."""
        return [execution["name"] for execution in self.states.list_executions(stateMachineArn=MACHINE)["executions"]]

    def input_of(self, run: str) -> str:
        """Return the input of an execution."""
        arn = MACHINE.replace(":stateMachine:", ":execution:") + f":{run}"
        return str(self.states.describe_execution(executionArn=arn)["input"])

    def forget_executions(self) -> None:
        """Delete all executions, as Step Functions does 90 days after their end."""
        for machine in stepfunctions_backends[ACCOUNT][REGION].state_machines:
            machine.executions.clear()

    def end(self, run: str, status: str, **attributes: str) -> str:
        """End an execution, which moto does not run; return its ARN."""
        for machine in stepfunctions_backends[ACCOUNT][REGION].state_machines:
            for execution in machine.executions:
                if execution.name == run:
                    vars(execution).update(status=status, **attributes)
                    return str(execution.execution_arn)
        raise LookupError(run)

    def row(self, run: str) -> dict[str, Any] | None:
        return self.table.get_item(Key={"run": run}).get("Item")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of runs and files; those without a status are of files that a sheet has named."""
        items: list[dict[str, Any]] = self.table.scan()["Items"]
        return [item for item in items if "status" in item]

    def messages(self) -> list[tuple[str, str]]:
        """Return subject and text of the messages that arrived since the last call."""
        received = []
        while messages := self.sqs.receive_message(QueueUrl=self.inbox, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.inbox, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                received.append((body["Subject"], body["Message"]))
        return received

    def results(self) -> dict[str, str]:
        """Return the text of every object in the results bucket by its key."""
        listed = self.s3.list_objects_v2(Bucket=RESULTS).get("Contents", [])
        return {entry["Key"]: self.text(RESULTS, entry["Key"]) for entry in listed}

    def text(self, bucket: str, key: str) -> str:
        return str(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())

    def write(self, uri: str, value: Any) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(value).encode())


def create_resources() -> None:
    """Create what the template has, with the calls of an SDK."""
    for bucket in (FASTQS, RESULTS, REFERENCES):
        client("s3").create_bucket(Bucket=bucket)
        client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    create_run_table(RESOURCES["RunTable"])
    create_run_table(RESOURCES["AttemptTable"], "AttemptTable")
    role = f"arn:aws:iam::{ACCOUNT}:role/seqdrop-StateMachineRole"
    definition = json.dumps({"StartAt": "AlignReads", "States": {"AlignReads": {"Type": "Succeed"}}})
    for name in ("seqdrop-pipeline", "seqdrop-joint"):
        client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=role)
    create_queues()
    for name in ("seqdrop-StartQueue", "inbox"):
        client("sqs").create_queue(QueueName=name)
    topic = client("sns").create_topic(Name="seqdrop-RunTopic")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:inbox")


def backends() -> dict[str, Any]:
    """Return moto's backends of the services that have resources of the stack, by service."""
    regions = {"iam": "aws", "s3": "aws"}
    names = ("batch", "dynamodb", "ecs", "iam", "s3", "sns", "sqs", "stepfunctions")
    found = {name: get_backend(name) for name in names}
    return {name: accounts[ACCOUNT][regions.get(name, REGION)] for name, accounts in found.items()}


def save_resources() -> None:
    """Keep a copy of all resources: their creation takes a quarter of the time of a test of a function."""
    originals = backends()
    memo = {id(backend): backend for backend in originals.values()}  # resources refer to their backends
    _saved.update(originals=originals, state=deepcopy({name: vars(one) for name, one in originals.items()}, memo))


def restore_resources() -> None:
    """Give moto, which is empty, a copy of the saved resources."""
    current = backends()
    memo = {id(_saved["originals"][name]): backend for name, backend in current.items()}
    for name, state in deepcopy(_saved["state"], memo).items():
        vars(current[name]).update(state)


def create_queues() -> None:
    """Create the job queues, on a compute environment without instances."""
    role = client("iam").create_role(RoleName="seqdrop-batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    environment = client("batch").create_compute_environment(
        computeEnvironmentName="seqdrop", type="UNMANAGED", state="ENABLED", serviceRole=role
    )["computeEnvironmentArn"]
    for queue in (NORMAL_PRIORITY, HIGH_PRIORITY, LAST_RESORT):
        client("batch").create_job_queue(
            jobQueueName=queue.rpartition("/")[2],
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
        )


def function_client(service: str, **settings: Any) -> Any:
    """Return the client of a function, made once for all tests: to make it takes longer than most calls."""
    name = f"{service} {settings}"
    if name not in _clients:
        _clients[name] = _make_client(service, **settings)
    return _clients[name]


def forget_environment() -> None:
    """Let the layer read the names of tables and buckets again."""
    clients = (notify, run_event, executions, queues, messages)
    for cached in (s3.store, table.run_table, *(module.client for module in clients)):
        cached.cache_clear()
    for asked in (attempts.attempt_table, prices.client, prices.ask_spot_price):
        asked.cache_clear()


@contextmanager
def handler_of(event: str, handler: Callable[..., None]) -> Iterator[None]:
    """Let the clients of the functions call a handler for an event of botocore, before all other handlers."""

    def forget_clients() -> None:  # those that exist have the handlers that were there when they were made
        _clients.clear()
        forget_environment()

    session().events.register_first(event, handler)
    forget_clients()
    try:
        yield
    finally:
        session().events.unregister(event, handler)
        forget_clients()


@contextmanager
def fail_next_call(operation: str, text: str) -> Iterator[None]:
    """Let the next call of an operation (`s3.HeadObject`) fail with an error of this text."""
    errors = [ClientError({"Error": {"Code": "InternalError", "Message": text}}, operation)]

    def refuse(**_: Any) -> None:
        if errors:
            raise errors.pop()

    with handler_of(f"before-call.{operation}", refuse):
        yield


@contextmanager
def collect_logs() -> Iterator[StringIO]:
    """Collect the log lines of the functions as CloudWatch gets them."""
    handler, log = logger.registered_handler, StringIO()
    assert isinstance(handler, StreamHandler)
    stream = handler.setStream(log)
    try:
        yield log
    finally:
        handler.setStream(stream or sys.stdout)


@cache
def session() -> boto3.session.Session:
    """Return the session of the functions of all tests.

    It reads the descriptions of the services, which takes longer than a test.
    """
    made = new_session()
    made.events.register("before-call", record_call)
    return made


@cache
def own_session() -> boto3.session.Session:
    """Return the session of the tests themselves, with the descriptions that that of the functions has read."""
    made = new_session()
    made._session.register_component("data_loader", session()._session.get_component("data_loader"))
    return made


def new_session() -> boto3.session.Session:
    made = boto3.session.Session("test", "test", region_name=REGION)
    made.events.register("before-parameter-build.sfn.StartExecution", start_by_alias)
    return made


def record_call(model: Any, **_: Any) -> None:
    for stack in _stacks:
        stack.calls.add(iam_action(model))


@cache
def client(service: str, endpoint: str | None = None) -> Any:
    """Return the client that the tests themselves use, made once: `Deployed.calls` has none of its calls."""
    return own_session().client(service, endpoint_url=endpoint)


@cache
def run_table() -> Any:
    return own_session().resource("dynamodb").Table(RESOURCES["RunTable"])


def _urls(backend: BaseBackend) -> dict[str, Any]:
    """Return the addresses of a service with their handlers, found once."""
    kind = type(backend)
    if kind not in _found:
        _found[kind] = _find_urls(backend)
    return _found[kind]


@cache
def _key() -> Any:
    """Return the key with which moto signs the messages of every topic."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@contextmanager
def empty_aws() -> Iterator[None]:
    """Start moto without data for boto3 alone.

    The 1,300 patterns that it adds at each start for programs that use `requests` take longer than most tests. What it
    computes again for each request and each topic takes a sixth of the time of the tests of functions, and the user
    agent that botocore composes for each call a twentieth; so does what it looks for in each row of a table.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto_core, "RESPONSES_METHODS", [])
        patch.setattr(backend_index, "backend_url_patterns", _patterns)
        patch.setattr(BaseBackend, "urls", property(_urls))
        patch.setattr(sns_models.Subscription, "private_key", lambda _: _key())
        patch.setattr(UserAgentString, "to_string", lambda _: "tests")
        patch.setattr(BaseJSONSerializer, "_serialize_type_structure", json_structures.serialize_structure)
        with mock_aws():
            yield


def iam_action(model: Any) -> str:
    service = model.service_model.service_id.lower()
    return f"{PREFIXES.get(model.service_model.service_id, service)}:{LETTERS.get(model.name, model.name)}"


def start_by_alias(params: dict[str, Any], **_: Any) -> None:
    """Remove the alias from the ARN: moto starts a state machine by its own ARN only."""
    params["stateMachineArn"] = params["stateMachineArn"].removesuffix(":live")


def keep_checksums(patch: pytest.MonkeyPatch) -> None:
    """Give moto's S3 the checksums that S3 keeps: the HEAD of moto lacks the type of a checksum."""
    for name in ("_get_checksum", "head_object", "_key_response_post"):
        patch.setattr(S3Response, name, getattr(S3Response, name))  # restored at the end
    patch.setattr(s3_models, "MultipartChecksumBuilder", s3_models.MultipartChecksumBuilder)
    s3_checksums.install()


@contextmanager
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with empty_aws():
        monkeypatch.setattr(aws, "session", lambda: session()._session)  # of botocore
        monkeypatch.setattr(aws, "client", function_client)
        _stacks.append(Deployed(monkeypatch))
        try:
            yield _stacks[0]
        finally:
            _stacks.clear()
    forget_environment()  # of this stack, which no longer exists
