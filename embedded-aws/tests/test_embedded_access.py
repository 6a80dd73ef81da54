"""Access: only the owner of a server reads, writes or runs anything in it."""

import http.client
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from embedded_server import PATIENCE, Server, Start, packed_source

NOBODY = 65_534  # the user id of "nobody"
TARGET = "DynamoDB_20120810.ListTables"
FORM = "application/x-www-form-urlencoded"
# Requests of every protocol, of the control paths and of the paths that moto serves to instances.
REQUESTS: dict[str, tuple[str, str, dict[str, str], str]] = {
    "list buckets": ("GET", "/", {}, ""),
    "get object": ("GET", "/{bucket}/secret.txt", {}, ""),
    "put object": ("PUT", "/{bucket}/new.txt", {}, "x"),
    "delete object": ("DELETE", "/{bucket}/secret.txt", {}, ""),
    "query protocol": ("POST", "/", {"Content-Type": FORM}, "Action=ListTopics&Version=2010-03-31"),
    "sign in": ("POST", "/", {"Content-Type": FORM}, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"),
    "json protocol": ("POST", "/", {"X-Amz-Target": TARGET, "Content-Type": "application/x-amz-json-1.0"}, "{}"),
    "create function": ("POST", "/2015-03-31/functions", {"Content-Type": "application/json"}, "{}"),
    "invoke function": ("POST", "/2015-03-31/functions/{function}/invocations", {}, "{}"),
    "submit job": ("POST", "/v1/submitjob", {}, "{}"),
    "service in the path": ("GET", "/lambda_us-east-1/2015-03-31/functions", {}, ""),
    "moto's data": ("GET", "/moto-api/data.json", {}, ""),
    "moto's reset": ("POST", "/moto-api/reset", {}, ""),
    "moto's page": ("GET", "/moto-api/", {}, ""),
    "faults": ("GET", "/_faults", {}, ""),
    "new faults": ("PUT", "/_faults", {}, '{"scratch_mib": 1}'),
    "credentials of an instance": ("GET", "/latest/meta-data/iam/security-credentials/default", {}, ""),
    "token of an instance": ("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, ""),
}


@pytest.fixture(scope="module")
def bucket(aws: Server) -> str:
    name = "access-test"
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_object(Bucket=name, Key="secret.txt", Body=b"secret")
    return name


def ask(server: Server, name: str, more: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Send one of the requests with more headers; return status, headers and body."""
    method, path, headers, body = REQUESTS[name]
    path = path.format(bucket="access-test", function=server.output("Echo"))
    return send(server, method, path, {**headers, **(more or {})}, body.encode())


def send(
    server: Server, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.state["port"], timeout=PATIENCE)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()


def signed(
    server: Server,
    url: str,
    *,
    key: tuple[str, str] | None = None,
    service: str = "s3",
    presigned: bool = False,
    age: float = 0,
    **more: str,
) -> requests.Response:
    """Send a signed GET request."""
    request = AWSRequest("GET", server.state["endpoint"] + url, headers=more)
    auth: Any = (S3SigV4QueryAuth if presigned else S3SigV4Auth) if service == "s3" else SigV4Auth
    with pytest.MonkeyPatch.context() as patch:
        at = time.gmtime(time.time() - age)
        patch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: _Moment(at))
        auth(Credentials(*(key or server.password)), service, server.state["region"]).add_auth(request)
    prepared = request.prepare()
    return requests.get(prepared.url, headers=dict(prepared.headers.items()), timeout=PATIENCE)


class _Moment:
    """The part of datetime that botocore uses."""

    def __init__(self, at: time.struct_time) -> None:
        self._at = at

    def strftime(self, form: str) -> str:
        return time.strftime(form, self._at)


def has_cors(headers: dict[str, str]) -> bool:
    return any(name.startswith("access-control-") for name in headers)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_is_not_signed_is_refused(aws: Server, bucket: str, name: str) -> None:
    status, headers, body = ask(aws, name)
    assert (status, headers["x-amzn-errortype"], b"not signed" in body) == (403, "AccessDenied", True)
    assert aws.s3.get_object(Bucket=bucket, Key="secret.txt")["Body"].read() == b"secret"
    assert [entry["Key"] for entry in aws.s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["secret.txt"]


@pytest.mark.parametrize(
    "scheme", ["Basic YWRtaW46YWRtaW4=", "Basic !", "AWS local:c2ln", "Bearer x", "AWS4-HMAC-SHA256"]
)
def test_a_request_with_other_credentials_is_refused(aws: Server, bucket: str, scheme: str) -> None:
    assert {ask(aws, name, {"Authorization": scheme})[0] for name in REQUESTS} == {403}


@pytest.mark.parametrize("presigned", [False, True], ids=["header", "URL"])
def test_the_id_and_the_secret_of_the_access_key_are_checked(aws: Server, bucket: str, presigned: bool) -> None:
    def status(key: tuple[str, str], age: float = 0) -> tuple[int, str]:
        answer = signed(aws, f"/{bucket}/secret.txt", key=key, presigned=presigned, age=age)
        return answer.status_code, answer.headers.get("x-amzn-ErrorType", "")

    access_key_id, secret = aws.password
    assert status((access_key_id, secret)) == (200, "")
    assert status(("local", secret)) == (403, "InvalidAccessKeyId")
    assert status(("é" if presigned else "locàl", secret))[0] == 403
    assert status((access_key_id, "local")) == (403, "SignatureDoesNotMatch")
    assert status((access_key_id, secret), age=4000) == (403, "AccessDenied")
    assert status((access_key_id, secret), age=-4000) == (403, "AccessDenied")


def test_a_changed_path_query_or_body_needs_another_signature(aws: Server, bucket: str) -> None:
    url = urlsplit(aws.s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "secret.txt"}))
    old = f"{url.path}?{url.query}"
    assert send(aws, "GET", old, {})[0] == 200  # version 2, which boto3 makes by default
    for other in (old.replace("secret", "other"), f"{old}&versionId=x", old.replace("Expires=1", "Expires=2")):
        assert send(aws, "GET", other, {})[0] == 403
    assert send(aws, "PUT", old, {}, b"x")[0] == 403
    request = AWSRequest("POST", f"{aws.state['endpoint']}/", data=b"{}", headers={"X-Amz-Target": TARGET})
    SigV4Auth(Credentials(*aws.password), "dynamodb", "us-east-1").add_auth(request)
    headers = dict(request.headers.items())
    assert send(aws, "POST", "/", headers, b"{}")[0] == 200
    assert send(aws, "POST", "/", headers, b'{"Limit": 1}')[0] == 403
    assert send(aws, "POST", "/?Action=x", headers, b"{}")[0] == 403
    assert send(aws, "POST", "/", {**headers, "X-Amz-Target": "DynamoDB_20120810.CreateTable"}, b"{}")[0] == 403


def test_keys_with_special_characters_are_signed_as_clients_sign_them(aws: Server, bucket: str) -> None:
    keys = ["a b+c", "ü/ñ", "(x)~'*!", "a//b", "%41", "x?y=1&z"]
    for key in keys:
        aws.s3.put_object(Bucket=bucket, Key=f"special/{key}", Body=b"x", Metadata={"under_score": "  two   blanks "})
        assert aws.s3.get_object(Bucket=bucket, Key=f"special/{key}")["Body"].read() == b"x"
    found = aws.s3.list_objects_v2(Bucket=bucket, Prefix="special/")["Contents"]
    assert sorted(entry["Key"].removeprefix("special/") for entry in found) == sorted(keys)
    for key in keys:
        aws.s3.delete_object(Bucket=bucket, Key=f"special/{key}")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_a_request_to_another_host_is_refused(aws: Server, bucket: str, host: str) -> None:
    """DNS rebinding: the page of evil.example, whose name has become 127.0.0.1, reads its own origin."""
    host = host.format(port=aws.state["port"])
    for name in REQUESTS:
        assert ask(aws, name, {"Host": host})[0] == 403
    answer = signed(aws, f"/{bucket}/secret.txt", Host=host or "none")
    assert (answer.status_code, "Host must be one of 127.0.0.1, localhost" in answer.text) == (403, True)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:{port}", "http://localhost:3000"])
def test_a_request_of_a_web_page_is_refused(aws: Server, bucket: str, origin: str) -> None:
    """As browsers send them: plain requests at once, others after a preflight request."""
    origin = origin.format(port=aws.state["port"])
    plain = {"Origin": origin, "Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Mode": "no-cors"}
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,x-amz-date,x-amz-target",
        "Access-Control-Request-Private-Network": "true",
    }
    for name, (_, path, _, _) in REQUESTS.items():
        status, headers, _ = ask(aws, name, plain)
        assert (status, has_cors(headers)) == (403, False)
        status, headers, _ = send(aws, "OPTIONS", path.format(bucket=bucket, function="f"), preflight)
        assert (status, has_cors(headers)) == (403, False)
    # Also with the access key, which a page could know from a presigned URL or from its user.
    answer = signed(aws, f"/{bucket}/secret.txt", Origin=origin)
    assert (answer.status_code, has_cors(dict(answer.headers.lower_items()))) == (403, False)


def test_no_answer_allows_web_pages_to_read_it(aws: Server, bucket: str) -> None:
    for url, service in ((f"/{bucket}/secret.txt", "s3"), ("/v2/functions", "lambda"), ("/_faults", "execute-api")):
        assert not has_cors(dict(signed(aws, url, service=service).headers.lower_items()))


def test_the_control_paths_take_the_access_key_as_password(aws: Server) -> None:
    access_key_id, secret = aws.password
    for path in ("/_faults", "/moto-api/"):
        url = aws.state["endpoint"] + path
        assert requests.get(url, auth=(access_key_id, secret), timeout=PATIENCE).status_code == 200
        assert requests.get(url, auth=(access_key_id, "x"), timeout=PATIENCE).status_code == 403
        answer = requests.get(url, timeout=PATIENCE)  # a browser must not ask for a password
        assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (403, False)
    functions = f"{aws.state['endpoint']}/2015-03-31/functions"
    assert requests.get(functions, auth=aws.password, timeout=PATIENCE).status_code == 403


def test_two_servers_have_different_keys_and_print_none(start_server: Start, tmp_path: Path) -> None:
    one, two = (start_server(tmp_path / name, "--executor", "process") for name in "ab")
    assert len({*one.password, *two.password}) == 4
    assert signed(one, "/", key=two.password).status_code == 403
    one.process.terminate()
    one.process.wait(PATIENCE)
    assert not any(value in one.process.stdout.read() for value in one.password)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user can enter; the folders of pytest are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(work: Callable[[], Any]) -> Any:
    """Return the result of `work` in a process of the user "nobody"."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writer, json.dumps(work()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as result:
        text = result.read()
    os.waitpid(pid, 0)
    return json.loads(text)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")
def test_another_local_user_reads_writes_and_runs_nothing(start_server: Start, shared_folder: Path) -> None:
    previous = os.umask(0o022)
    server = start_server(shared_folder / "state", "--executor", "process")
    os.umask(previous)
    job = server.job_in(server.submit("mkdir -p $SCRATCH; touch $SCRATCH/here; sleep 600"), "RUNNING")
    files = [shared_folder / "state" / "t.json", Path(f"/proc/{server.process.pid}/environ")]
    scratch = shared_folder / "state" / "volumes"

    def attempts() -> dict[str, Any]:
        read = [str(file) for file in files if can(file.read_bytes)]
        wrote = [can(lambda: list(scratch.iterdir())), can(lambda: (scratch / "scratch" / "new").write_text("x"))]
        statuses = sorted({ask(server, name)[0] for name in REQUESTS})
        return {"user": os.getuid(), "read": read, "wrote": wrote, "statuses": statuses}

    assert as_nobody(attempts) == {"user": NOBODY, "read": [], "wrote": [False, False], "statuses": [403]}
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    server.batch.terminate_job(jobId=job["jobId"], reason="test done")


def can(work: Callable[[], Any]) -> bool:
    try:
        work()
    except PermissionError:
        return False
    return True


# What a job, or who took its environment, could try. Each attempt prints its name and the error.
MALICIOUS = """
import base64, boto3, os, urllib.request
from botocore.exceptions import ClientError
once = boto3.session.Config(retries={"total_max_attempts": 1})
def client(name): return boto3.client(name, config=once)
def attempt(name, call):
    try:
        call()
        print(name, "DONE")
    except ClientError as error:
        print(name, error.response["ResponseMetadata"]["HTTPStatusCode"])
    except urllib.error.HTTPError as error:
        print(name, error.code)
def control(method, path):
    key = f"{os.environ['AWS_ACCESS_KEY_ID']}:{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + path, b"{}", method=method)
    request.add_header("Authorization", "Basic " + base64.b64encode(key).decode())
    urllib.request.urlopen(request)
s3, role = client("s3"), "arn:aws:iam::123456789012:role/malicious"
machine = "arn:aws:states:us-east-1:123456789012:stateMachine:x"
url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "secret.txt"})
attempt("function", lambda: client("lambda").create_function(FunctionName="x", Role=role, Code={"ZipFile": b"x"}))
attempt("code", lambda: client("lambda").update_function_code(FunctionName=FUNCTION, ZipFile=b"x"))
attempt("invoke", lambda: client("lambda").invoke(FunctionName=FUNCTION))
attempt("definition", lambda: client("batch").register_job_definition(jobDefinitionName="x", type="container"))
attempt("job", lambda: client("batch").submit_job(jobName="x", jobQueue="x", jobDefinition="x"))
attempt("machine", lambda: client("stepfunctions").create_state_machine(name="x", definition="{}", roleArn=role))
attempt("execution", lambda: client("stepfunctions").start_execution(stateMachineArn=machine))
attempt("table", lambda: client("dynamodb").scan(TableName="x"))
attempt("queue", lambda: client("sqs").list_queues())
attempt("topic", lambda: client("sns").list_topics())
attempt("stack", lambda: client("cloudformation").describe_stacks())
attempt("user", lambda: client("iam").create_user(UserName="x"))
attempt("role", lambda: client("sts").assume_role(RoleArn=role, RoleSessionName="malicious"))
attempt("logs", lambda: client("logs").describe_log_groups())
attempt("notification", lambda: s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={}))
attempt("policy", lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy="{}"))
attempt("bucket", lambda: s3.create_bucket(Bucket="malicious"))
attempt("delete", lambda: s3.delete_object(Bucket=BUCKET, Key="secret.txt"))
attempt("delete more", lambda: s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "secret.txt"}]}))
attempt("acl", lambda: s3.put_object_acl(Bucket=BUCKET, Key="secret.txt", ACL="public-read"))
attempt("presigned", lambda: urllib.request.urlopen(url))
attempt("faults", lambda: control("PUT", "/_faults"))
attempt("reset", lambda: control("POST", "/moto-api/reset"))
attempt("reset by S3", lambda: s3.put_object(Bucket="moto-api", Key="config", Body=b"{}"))
attempt("instance", lambda: s3.get_object(Bucket="latest", Key="meta-data/iam/security-credentials/x"))
s3.put_object(Bucket=BUCKET, Key="from-job", Body=b"x")
s3.copy_object(Bucket=BUCKET, Key="from-job", CopySource={"Bucket": BUCKET, "Key": "secret.txt"})
upload = s3.create_multipart_upload(Bucket=BUCKET, Key="x")["UploadId"]
s3.upload_part(Bucket=BUCKET, Key="x", UploadId=upload, PartNumber=1, Body=b"x")
s3.abort_multipart_upload(Bucket=BUCKET, Key="x", UploadId=upload)
print("objects", [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="from")["Contents"]])
"""


def test_a_malicious_job_reaches_objects_alone(aws: Server, bucket: str) -> None:
    program = f"BUCKET, FUNCTION = {bucket!r}, {aws.output('Echo')!r}\n{MALICIOUS}"
    job = aws.run("true", containerOverrides={"command": ["python", "-c", program]})
    *attempts, objects = aws.lines(job)
    assert (job["status"], objects) == ("SUCCEEDED", "objects ['from-job']")
    assert len(attempts) == MALICIOUS.count("\nattempt(")
    assert {line.rpartition(" ")[2] for line in attempts} == {"400", "403"}  # 400: of services with a JSON protocol
    aws.s3.delete_object(Bucket=bucket, Key="from-job")


def test_a_refusal_is_in_the_words_of_each_sdk(aws: Server) -> None:

    make: Any = boto3.client
    stranger = make(
        "lambda",
        endpoint_url=aws.state["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=aws.password[0],
        aws_secret_access_key="wrong",  # pragma: allowlist secret: it is wrong
        config=Config(retries={"total_max_attempts": 1}),
    )
    code = {"ZipFile": packed_source("")}
    with pytest.raises(ClientError, match=r"SignatureDoesNotMatch.*check the secret access key"):
        stranger.create_function(
            FunctionName="x", Runtime="python3.11", Handler="app.handler", Role=aws.output("Role"), Code=code
        )
