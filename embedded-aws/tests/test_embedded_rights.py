"""Rights: a function or a job may do what the policies of its role allow, and nothing else."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from embedded_aws import invoke
from embedded_aws.rights import needs_of
from embedded_aws.rights.conditions import UnknownConditionError
from embedded_aws.rights.patterns import matches
from embedded_aws.rights.roles import Roles
from embedded_aws.rights.statements import Need
from embedded_aws.signatures import RefusedError
from embedded_aws.stack import CreatedResource, ResourceSpec, Stack
from embedded_aws.template import Template, TemplateError
from embedded_server import Server, Start, stop
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

ROLE = "arn:aws:iam::123456789012:role/x"
BUCKET, OBJECT = "arn:aws:s3:::b", "arn:aws:s3:::b/a/k.txt"
AT = {"Bucket": "b", "Key": "a/k.txt"}
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/t"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:m:live"
Call = Callable[[Any], Any]

# Every call with the rights that it needs.
NEEDS: dict[str, tuple[str, Call, list[tuple[str, str]]]] = {
    "get": ("s3", lambda s3: s3.get_object(**AT), [("s3:GetObject", OBJECT)]),
    "head": ("s3", lambda s3: s3.head_object(**AT), [("s3:GetObject", OBJECT)]),
    "version": ("s3", lambda s3: s3.get_object(**AT, VersionId="v"), [("s3:GetObjectVersion", OBJECT)]),
    "put": ("s3", lambda s3: s3.put_object(**AT, Body=b"x", IfNoneMatch="*"), [("s3:PutObject", OBJECT)]),
    "tags": (
        "s3",
        lambda s3: s3.put_object(**AT, Tagging="a=b"),
        [("s3:PutObject", OBJECT), ("s3:PutObjectTagging", OBJECT)],
    ),
    "replace": (
        "s3",
        lambda s3: s3.put_object(**AT, IfMatch="e"),
        [("s3:PutObject", OBJECT), ("s3:GetObject", OBJECT)],
    ),
    "copy": (
        "s3",
        lambda s3: s3.copy_object(**AT, CopySource={"Bucket": "c", "Key": "é", "VersionId": "v"}),
        [("s3:PutObject", OBJECT), ("s3:GetObjectVersion", "arn:aws:s3:::c/é")],
    ),
    "new upload": (
        "s3",
        lambda s3: s3.create_multipart_upload(**AT, Tagging="a=b"),
        [("s3:PutObject", OBJECT), ("s3:PutObjectTagging", OBJECT)],
    ),
    "part": ("s3", lambda s3: s3.upload_part(**AT, UploadId="u", PartNumber=1), [("s3:PutObject", OBJECT)]),
    "complete": ("s3", lambda s3: s3.complete_multipart_upload(**AT, UploadId="u"), [("s3:PutObject", OBJECT)]),
    "abort": ("s3", lambda s3: s3.abort_multipart_upload(**AT, UploadId="u"), [("s3:AbortMultipartUpload", OBJECT)]),
    "parts": ("s3", lambda s3: s3.list_parts(**AT, UploadId="u"), [("s3:ListMultipartUploadParts", OBJECT)]),
    "delete": ("s3", lambda s3: s3.delete_object(**AT), [("s3:DeleteObject", OBJECT)]),
    "delete version": (
        "s3",
        lambda s3: s3.delete_object(**AT, VersionId="v"),
        [("s3:DeleteObjectVersion", OBJECT)],
    ),
    "delete many": (
        "s3",
        lambda s3: s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "a/k.txt"}, {"Key": "x"}]}),
        [("s3:DeleteObject", f"{BUCKET}/*")],
    ),
    "list": ("s3", lambda s3: s3.list_objects_v2(Bucket="b", Prefix="a/"), [("s3:ListBucket", BUCKET)]),
    "head bucket": ("s3", lambda s3: s3.head_bucket(Bucket="b"), [("s3:ListBucket", BUCKET)]),
    "uploads": ("s3", lambda s3: s3.list_multipart_uploads(Bucket="b"), [("s3:ListBucketMultipartUploads", BUCKET)]),
    "acl": ("s3", lambda s3: s3.put_object_acl(**AT, ACL="private"), []),
    "row": ("dynamodb", lambda rows: rows.get_item(TableName="t", Key={}), [("dynamodb:GetItem", TABLE)]),
    "query": (
        "dynamodb",
        lambda rows: rows.query(TableName="t", IndexName="i"),
        [("dynamodb:Query", f"{TABLE}/index/i")],
    ),
    "transaction": (
        "dynamodb",
        lambda rows: rows.transact_write_items(
            TransactItems=[{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": TABLE}}]
        ),
        [("dynamodb:PutItem", TABLE), ("dynamodb:ConditionCheckItem", TABLE)],
    ),
    "batch of rows": (
        "dynamodb",
        lambda rows: rows.batch_get_item(RequestItems={"t": {"Keys": []}}),
        [("dynamodb:BatchGetItem", TABLE)],
    ),
    "start": (
        "stepfunctions",
        lambda states: states.start_execution(stateMachineArn=MACHINE),
        [("states:StartExecution", MACHINE)],
    ),
    "publish": (
        "sns",
        lambda sns: sns.publish(TopicArn="arn:aws:sns:t", Message="x"),
        [("sns:Publish", "arn:aws:sns:t")],
    ),
    "events": (
        "events",
        lambda events: events.put_events(Entries=[{"Source": "a"}, {"Source": "b", "EventBusName": "own"}]),
        [
            ("events:PutEvents", "arn:aws:events:us-east-1:123456789012:event-bus/default"),
            ("events:PutEvents", "arn:aws:events:us-east-1:123456789012:event-bus/own"),
        ],
    ),
    "send": (
        "sqs",
        lambda sqs: sqs.send_message(QueueUrl="http://x/123456789012/q", MessageBody="x"),
        [("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:q")],
    ),
    "invoke": (
        "lambda",
        lambda functions: functions.invoke(FunctionName="f", Qualifier="live", Payload=b"[1]"),
        [("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:f:live")],
    ),
    "job": (
        "batch",
        lambda batch: batch.submit_job(jobName="j", jobQueue="q", jobDefinition="d:1", tags={"a": "b"}),
        [
            ("batch:SubmitJob", "arn:aws:batch:us-east-1:123456789012:job-definition/d:1"),
            ("batch:SubmitJob", "arn:aws:batch:us-east-1:123456789012:job-queue/q"),
            ("batch:TagResource", "arn:aws:batch:us-east-1:123456789012:job/new"),
        ],
    ),
    "metric": (
        "cloudwatch",
        lambda metrics: metrics.put_metric_data(Namespace="n", MetricData=[]),
        [("cloudwatch:PutMetricData", "*")],
    ),
}


@pytest.fixture(scope="module")
def needed() -> Iterator[Callable[[str, Call], list[tuple[str, str]]]]:
    """Return a function that makes a call of an SDK and returns the rights that its request needs."""
    found: list[list[tuple[str, str]]] = []
    signing_names = {"stepfunctions": "states", "cloudwatch": "monitoring"}

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        service = environ["HTTP_AUTHORIZATION"].split("/")[3]
        try:
            found.append([(need.action, need.resource) for need in needs_of(service, environ)])
        except RefusedError:
            found.append([])
        start("403 Forbidden", [("Content-Length", "0")])
        return []

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def call(service: str, work: Call) -> list[tuple[str, str]]:
        make: Any = boto3.client
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        client = make(
            service,
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",  # pragma: allowlist secret: this server checks none
            config=config,
        )
        with pytest.raises(Exception, match=r"403|Forbidden|parse"):
            work(client)
        assert signing_names.get(service, service) == client.meta.service_model.signing_name
        return found.pop()

    yield call
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", NEEDS)
def test_each_call_needs_the_rights_of_aws(needed: Callable[[str, Call], list[tuple[str, str]]], name: str) -> None:
    service, work, expected = NEEDS[name]
    assert needed(service, work) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("arn:aws:s3:::b/*.bam", "arn:aws:s3:::b/S/r/S.bam", True),
        ("arn:aws:s3:::b/*.bam", "arn:aws:s3:::b/S/r/S.bam.bai", False),
        ("arn:aws:s3:::b/?.txt", "arn:aws:s3:::b/ab.txt", False),
        ("arn:aws:s3:::b/[ab].txt", "arn:aws:s3:::b/a.txt", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a\nb", True),
        ("*", "anything", True),
    ],
)
def test_only_stars_and_question_marks_are_wildcards(pattern: str, value: str, expected: bool) -> None:
    assert matches(pattern, value) == expected


def decision(statements: Any, action: str = "s3:GetObject", resource: str = OBJECT, **context: str) -> bool:
    found = Roles()
    found.add(ROLE, "Role", [{"Statement": statements}])
    return found.may(
        ROLE, Need(action, resource, tuple((key.replace("_", ":"), value) for key, value in context.items()))
    )


READ = {"Effect": "Allow", "Action": "s3:getobject", "Resource": f"{BUCKET}/a/*"}


def test_an_allow_statement_must_match_and_no_deny_statement() -> None:
    assert decision(READ)
    assert not decision([])
    assert not decision(READ, action="s3:PutObject")
    assert not decision(READ, resource=f"{BUCKET}/b/k.txt")
    assert not decision([READ, {"Effect": "Deny", "Action": "s3:*", "Resource": "*.txt"}])
    assert decision([READ, {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}])
    assert decision({"Effect": "Allow", "NotAction": "s3:Put*", "NotResource": f"{BUCKET}/b/*"})
    assert not decision({"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"})


LISTING = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET}


@pytest.mark.parametrize(("operator", "key", "value", "expected"), [
    ("StringEquals", "S3:prefix", "a/", True),
    ("StringEquals", "s3:prefix", ["b/", "c/"], False),
    ("StringEquals", "s3:prefix", ["b/", "a/"], True),
    ("StringNotEquals", "s3:prefix", "a/", False),
    ("StringNotEquals", "s3:prefix", ["b/", "c/"], True),
    ("StringEqualsIgnoreCase", "s3:prefix", "A/", True),
    ("StringNotEqualsIgnoreCase", "s3:prefix", "A/", False),
    ("StringLike", "s3:prefix", "a*", True),
    ("StringLike", "s3:prefix", "b*", False),
    ("StringNotLike", "s3:prefix", "a*", False),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/x", True),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/y", False),
    ("ArnEquals", "aws:PrincipalArn", ROLE, True),
    ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:role/x", False),
    ("ArnNotEquals", "aws:PrincipalArn", ROLE, False),
    ("StringEquals", "aws:PrincipalAccount", "123456789012", True),
    ("StringEquals", "aws:ResourceAccount", "210987654321", False),
    ("StringEquals", "aws:RequestedRegion", ["eu-west-1", "us-east-1"], True),
    ("Bool", "aws:SecureTransport", "true", True),
    ("Bool", "aws:SecureTransport", False, False),
    ("BoolIfExists", "aws:SecureTransport", "false", False),
    ("Null", "s3:prefix", "false", True),
    ("Null", "s3:prefix", True, False),
])  # fmt: skip
def test_a_condition_is_evaluated(operator: str, key: str, value: Any, expected: bool) -> None:
    condition = {"Condition": {operator: {key: value}}}
    assert decision({**LISTING, **condition}, "s3:ListBucket", BUCKET, s3_prefix="a/") is expected
    denied = [LISTING, {**LISTING, **condition, "Effect": "Deny"}]
    assert decision(denied, "s3:ListBucket", BUCKET, s3_prefix="a/") is not expected


@pytest.mark.parametrize(("operator", "expected"), [
    ("StringEquals", False),
    ("StringLike", False),
    ("StringNotEquals", True),
    ("StringNotLike", True),
    ("StringEqualsIfExists", True),
    ("StringLikeIfExists", True),
    ("Null", False),
])  # fmt: skip
def test_a_condition_on_a_key_that_a_request_does_not_have(operator: str, expected: bool) -> None:
    statement = {**READ, "Condition": {operator: {"s3:prefix": "false"}}}
    assert decision(statement) is expected


def test_a_role_may_send_events_of_its_own_source_alone() -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html"""
    condition = {"StringEquals": {"events:source": "a"}}
    statement = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*", "Condition": condition}
    bus = "arn:aws:events:us-east-1:123456789012:event-bus/default"
    decided = [decision(statement, "events:PutEvents", bus, events_source=source) for source in ("a", "b")]
    assert decided == [True, False]


def test_every_condition_of_a_statement_must_hold() -> None:
    both = {"StringLike": {"s3:prefix": "a*"}, "StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    assert not decision({**LISTING, "Condition": both}, "s3:ListBucket", BUCKET, s3_prefix="a/")


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize(("operator", "key", "named"), [
    ("StringEquals", "aws:SourceVpc", "the condition key aws:SourceVpc is not known"),
    ("NumericLessThan", "s3:max-keys", "the condition operator NumericLessThan is not known"),
    ("ForAllValues:StringEquals", "s3:prefix", "the condition operator ForAllValues:StringEquals is not known"),
    ("NullIfExists", "s3:prefix", "the condition operator NullIfExists is not known"),
    ("IpAddress", "aws:SourceIp", "the condition operator IpAddress is not known"),
])  # fmt: skip
def test_a_condition_that_cannot_be_evaluated_is_refused(effect: str, operator: str, key: str, named: str) -> None:
    statement = {**READ, "Effect": effect, "Condition": {operator: {key: "x"}}}
    with pytest.raises(UnknownConditionError, match=named):
        decision(statement)


def test_policies_of_sam_allow_what_they_say_and_other_managed_policies_nothing() -> None:
    found = Roles()
    managed = [
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        "arn:aws:iam::aws:policy/AdministratorAccess",
    ]
    found.add(ROLE, "Role", [], managed)
    assert found.may(ROLE, Need("logs:PutLogEvents", "*"))
    assert not found.may(ROLE, Need("s3:GetObject", OBJECT))
    assert found.may(ROLE, Need("sts:GetCallerIdentity", "*"))
    assert found.may("unknown", Need("sts:GetCallerIdentity", "*"))


# A function that makes the calls of its event, one after the other, and answers with the error code of each.
CALLER = """
import boto3
from botocore.exceptions import ClientError
def handler(event, context):
    return [attempt(*call) for call in event["calls"]]
def attempt(service, operation, arguments):
    try:
        getattr(boto3.client(service), operation)(**arguments)
        return "done"
    except ClientError as error:
        return f'{error.response["ResponseMetadata"]["HTTPStatusCode"]} {error.response["Error"]["Code"]}'
"""


def calls(server: Server, role: str, *events: tuple[str, str, dict[str, Any]]) -> list[str]:
    """Make calls in a function with a role."""
    name = f"caller-{role}"
    if name not in {function["FunctionName"] for function in server.functions.list_functions()["Functions"]}:
        server.create_function(name, CALLER, Role=server.output(role))
    payload = json.dumps({"calls": events})
    result: list[str] = json.load(server.functions.invoke(FunctionName=name, Payload=payload)["Payload"])
    return result


@pytest.fixture(scope="module")
def bucket(aws: Server) -> str:
    name = "rights-test"
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_object(Bucket=name, Key="in/data.txt", Body=b"x")
    return name


def test_a_function_may_do_what_its_role_allows(aws: Server, bucket: str) -> None:
    there, missing, secret = ({"Bucket": bucket, "Key": key} for key in ("in/data.txt", "in/none.txt", "secret"))
    out = {"Bucket": bucket, "Key": "out/x.txt"}
    query = {"TableName": aws.output("Seen"), "KeyConditionExpression": "sample = :s"}
    query |= {"ExpressionAttributeValues": {":s": {"S": "x"}}}
    item = {"TableName": aws.output("Seen"), "Item": {"id": {"S": "x"}}}
    assert calls(
        aws,
        "ReaderRole",
        ("s3", "get_object", there),
        ("s3", "get_object", missing),
        ("s3", "head_object", missing),
        ("s3", "get_object", secret),
        ("s3", "put_object", out),
        ("s3", "put_object", {**out, "Tagging": "a=b"}),
        ("s3", "list_objects_v2", {"Bucket": bucket}),
        ("dynamodb", "query", {**query, "IndexName": "by-sample"}),
        ("dynamodb", "put_item", item),
        ("sns", "publish", {"TopicArn": "arn:aws:sns:us-east-1:123456789012:x", "Message": "x"}),
        ("lambda", "invoke", {"FunctionName": aws.output("Echo")}),
        ("sts", "get_caller_identity", {}),
    ) == [
        "done",
        "403 AccessDenied",  # a missing object, for a role that may not list the bucket
        "403 403",  # HEAD has no body
        "403 AccessDenied",
        "done",
        "403 AccessDenied",
        "403 AccessDenied",
        "done",
        "400 AccessDeniedException",
        "403 AuthorizationError",
        "403 AccessDeniedException",
        "done",
    ]


def test_a_missing_object_is_404_for_a_role_that_may_list_the_bucket(aws: Server, bucket: str) -> None:
    missing = {"Bucket": bucket, "Key": "none"}
    assert calls(aws, "Role", ("s3", "get_object", missing), ("s3", "head_object", missing)) == [
        "404 NoSuchKey",
        "404 404",
    ]


def test_a_job_has_the_rights_of_its_own_role(aws: Server, bucket: str) -> None:
    program = f"""
import boto3
from botocore.exceptions import ClientError
boto3.client("s3").get_object(Bucket={bucket!r}, Key="in/data.txt")
try:
    boto3.client("s3").get_object(Bucket={bucket!r}, Key="secret")
except ClientError as error:
    print(error.response["Error"]["Message"])
"""
    found = aws.batch.describe_job_definitions(jobDefinitions=[aws.output("Shell")])["jobDefinitions"][0]
    properties = {
        **found["containerProperties"],
        "jobRoleArn": aws.output("ReaderRole"),
        "command": ["python", "-c", program],
    }
    definition = aws.batch.register_job_definition(
        jobDefinitionName="reader", type="container", containerProperties=properties
    )["jobDefinitionArn"]
    [message] = aws.lines(aws.run("", jobDefinition=definition))
    assert message == (
        "User: arn:aws:sts::123456789012:assumed-role/t-ReaderRole/local is not authorized to perform: s3:GetObject on "
        f'resource: "arn:aws:s3:::{bucket}/secret" because no identity-based policy allows the s3:GetObject action'
    )
    del properties["jobRoleArn"]
    definition = aws.batch.register_job_definition(
        jobDefinitionName="no-role", type="container", containerProperties=properties
    )["jobDefinitionArn"]
    assert aws.run("", jobDefinition=definition)["status"] == "FAILED"  # the first call is denied


def assume(server: Server, role: str, **more: str) -> dict[str, str]:
    answer: dict[str, str] = server.client("sts").assume_role(RoleArn=role, RoleSessionName="test", **more)[
        "Credentials"
    ]
    return answer


def test_the_owner_can_assume_a_role_and_has_its_rights_only(aws: Server, bucket: str) -> None:
    key = assume(aws, aws.output("ReaderRole"))
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"], "us-east-1")
    s3, sts = (session.client(name, endpoint_url=aws.state["endpoint"]) for name in ("s3", "sts"))
    assert s3.get_object(Bucket=bucket, Key="in/data.txt")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="not authorized to perform: s3:GetObject"):
        s3.get_object(Bucket=bucket, Key="secret")
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=aws.output("Role"), RoleSessionName="test")


def test_a_session_policy_is_refused(aws: Server) -> None:
    with pytest.raises(ClientError, match="does not enforce session policies"):
        assume(aws, aws.output("ReaderRole"), Policy='{"Statement": []}')


def test_sam_local_invoke_gives_a_function_the_key_of_its_role(aws: Server) -> None:
    name = invoke.physical_ids(aws.state)["EchoFunction"]
    given = invoke.environment(aws.state, name)
    key = assume(aws, aws.functions.get_function_configuration(FunctionName=name)["Role"])
    assert (given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"]) == (key["AccessKeyId"], key["SecretAccessKey"])
    assert given["AWS_ACCESS_KEY_ID"] != aws.state["access_key_id"]


def test_a_stack_whose_role_has_an_unknown_condition_is_not_created() -> None:
    statement = {**READ, "Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}
    policies = [{"PolicyName": "p", "PolicyDocument": {"Statement": statement}}]
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "Policies": policies}}
    template = Template({"Resources": {"JobRole": role}}, {})

    def create(spec: ResourceSpec) -> CreatedResource:
        Roles().add(ROLE, spec.logical_id, [policy["PolicyDocument"] for policy in spec.properties["Policies"]])
        raise AssertionError("the role was created")

    with pytest.raises(TemplateError, match=r"could not create JobRole .*the condition key aws:SourceVpc is not known"):
        Stack("t", template, {}, {"AWS::IAM::Role": create}).deploy()


def test_used_rights_are_recorded_once(start_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "rights"
    monkeypatch.setenv("EMBEDDED_AWS_RIGHTS", str(record))
    server = start_server(tmp_path / "state", "--executor", "process")
    server.s3.create_bucket(Bucket="rights-test")
    out = {"Bucket": "rights-test", "Key": "out/x.txt"}
    denied = ("s3", "list_objects_v2", {"Bucket": "rights-test"})
    assert calls(server, "ReaderRole", ("s3", "put_object", out), ("s3", "put_object", out), denied)[:2] == ["done"] * 2
    stop(server)
    assert [json.loads(line) for line in record.read_text().splitlines()] == [
        {"role": "ReaderRole", "action": "s3:PutObject", "resource": "arn:aws:s3:::rights-test/out/*.txt"}
    ]
