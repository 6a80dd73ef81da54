"""The listener on the bridge of Docker: every container reaches it, and it serves only what jobs and functions need."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from embedded_aws.access import AccessControl
from embedded_aws.keys import AccessKey, Keys
from embedded_aws.rights import roles
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

KEYS = Keys(AccessKey.create("local"))
ROLE = "arn:aws:iam::123456789012:role/x"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:x"
OBJECT = {"Bucket": "bucket", "Key": "sample/a b+c.txt"}
Call = Callable[[Callable[[str], Any]], Any]

OBJECTS: dict[str, Call] = {
    "get": lambda aws: aws("s3").get_object(**OBJECT, VersionId="v", Range="bytes=0-9"),
    "head": lambda aws: aws("s3").head_object(**OBJECT, ChecksumMode="ENABLED"),
    "put": lambda aws: aws("s3").put_object(**OBJECT, Body=b"x", Tagging="a=b"),
    "copy": lambda aws: aws("s3").copy_object(**OBJECT, CopySource="bucket/other"),
    "create upload": lambda aws: aws("s3").create_multipart_upload(**OBJECT),
    "upload part": lambda aws: aws("s3").upload_part(**OBJECT, UploadId="u", PartNumber=1, Body=b"x"),
    "complete upload": lambda aws: aws("s3").complete_multipart_upload(**OBJECT, UploadId="u"),
    "abort upload": lambda aws: aws("s3").abort_multipart_upload(**OBJECT, UploadId="u"),
    "list": lambda aws: aws("s3").list_objects_v2(Bucket="bucket", Prefix="a/", Delimiter="/", StartAfter="b"),
    "head bucket": lambda aws: aws("s3").head_bucket(Bucket="bucket"),
}
FUNCTIONS: dict[str, Call] = {
    "read row": lambda aws: aws("dynamodb").get_item(TableName="t", Key={"a": {"S": "x"}}),
    "write row": lambda aws: aws("dynamodb").put_item(TableName="t", Item={"a": {"S": "x"}}),
    "query": lambda aws: aws("dynamodb").query(TableName="t"),
    "start": lambda aws: aws("stepfunctions").start_execution(stateMachineArn=MACHINE),
    "describe": lambda aws: aws("stepfunctions").describe_execution(executionArn=MACHINE),
    "list jobs": lambda aws: aws("batch").list_jobs(jobQueue="q", jobStatus="RUNNABLE"),
    "describe jobs": lambda aws: aws("batch").describe_jobs(jobs=["j"]),
    "publish": lambda aws: aws("sns").publish(TopicArn="t", Message="Action=x&y"),
}
OTHERS: dict[str, Call] = {
    "delete object": lambda aws: aws("s3").delete_object(**OBJECT),
    "delete objects": lambda aws: aws("s3").delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "x"}]}),
    "acl": lambda aws: aws("s3").put_object_acl(**OBJECT, ACL="private"),
    "create bucket": lambda aws: aws("s3").create_bucket(Bucket="new"),
    "delete bucket": lambda aws: aws("s3").delete_bucket(Bucket="bucket"),
    "read policy": lambda aws: aws("s3").get_bucket_policy(Bucket="bucket"),
    "notification": lambda aws: aws("s3").put_bucket_notification_configuration(
        Bucket="bucket", NotificationConfiguration={}
    ),
    "control path": lambda aws: aws("s3").put_object(Bucket="moto-api", Key="reset", Body=b""),
    "function": lambda aws: aws("lambda").create_function(FunctionName="x", Role=ROLE, Code={"ZipFile": b"x"}),
    "code": lambda aws: aws("lambda").update_function_code(FunctionName="x", ZipFile=b"x"),
    "invoke": lambda aws: aws("lambda").invoke(FunctionName="x"),
    "job definition": lambda aws: aws("batch").register_job_definition(jobDefinitionName="x", type="container"),
    "job": lambda aws: aws("batch").submit_job(jobName="x", jobQueue="x", jobDefinition="x"),
    "state machine": lambda aws: aws("stepfunctions").update_state_machine(stateMachineArn=MACHINE, definition="{}"),
    "table": lambda aws: aws("dynamodb").delete_table(TableName="t"),
    "subscription": lambda aws: aws("sns").subscribe(TopicArn="t", Protocol="http", Endpoint="http://evil.example"),
    "rule": lambda aws: aws("events").put_rule(Name="x", ScheduleExpression="rate(1 minute)"),
    "user": lambda aws: aws("iam").create_user(UserName="x"),
    "stack": lambda aws: aws("cloudformation").describe_stacks(),
}


@dataclass(frozen=True)
class Bridge:
    """The checks of the bridge, in front of an application that counts the requests that pass them."""

    endpoint: str
    passed: list[str]

    def served(self, key: AccessKey, calls: dict[str, Call]) -> set[str]:
        """Return the names of the calls that pass the checks with this key."""
        return {name for name, call in calls.items() if self._passes(key, call)}

    def _passes(self, key: AccessKey, call: Call) -> bool:
        def client(service: str) -> Any:
            make: Any = boto3.client
            config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
            words = {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret, "config": config}
            return make(service, endpoint_url=self.endpoint, region_name="us-east-1", **words)

        before = len(self.passed)
        with suppress(Exception):  # 403, or an answer that is none of this service
            call(client)
        return len(self.passed) > before


@pytest.fixture(scope="module")
def bridge() -> Iterator[Bridge]:
    passed: list[str] = []

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        passed.append(environ["RAW_URI"])
        start("200 OK", [("Content-Length", "0")])
        return []

    checks = AccessControl(application, KEYS, frozenset({"127.0.0.1"}), is_bridge=True)
    server = make_server("127.0.0.1", 0, checks, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Bridge(f"http://127.0.0.1:{server.server_port}", passed)
    server.shutdown()
    server.server_close()


def test_containers_use_objects_rows_executions_and_topics_and_nothing_else(bridge: Bridge) -> None:
    roles().add(ROLE, "Any", [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}])
    for key in (KEYS.server, KEYS.of_role(ROLE)):
        assert bridge.served(key, OBJECTS | FUNCTIONS) == (OBJECTS | FUNCTIONS).keys()
        assert bridge.served(key, OTHERS) == set()


def test_a_role_has_the_rights_of_its_policies_alone(bridge: Bridge) -> None:
    policy = {"Effect": "Allow", "Action": ["s3:Get*", "dynamodb:Query"], "Resource": "*"}
    roles().add(f"{ROLE}/reader", "Reader", [{"Statement": [policy]}])
    assert bridge.served(KEYS.of_role(f"{ROLE}/reader"), OBJECTS | FUNCTIONS | OTHERS) == {"get", "head", "query"}
    for role in (None, f"{ROLE}/unknown"):
        assert bridge.served(KEYS.of_role(role), OBJECTS | FUNCTIONS | OTHERS) == set()


def test_other_keys_are_served_nothing(bridge: Bridge) -> None:
    job = KEYS.of_role(ROLE)
    for key in (AccessKey("local", "local"), AccessKey(job.id, KEYS.server.secret), AccessKey.create("role")):
        assert bridge.served(key, OBJECTS | FUNCTIONS | OTHERS) == set()
