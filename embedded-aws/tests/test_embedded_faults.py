"""Fault injection: each fault has the effect of the real one, as often as the file says, and is recorded."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ResponseStreamingError
from embedded_aws import faults
from embedded_aws.faults import CallFault, FaultInjector, FaultsError, FaultsFile, JobFault
from embedded_server import PATIENCE, Server, Start, command, eventually, has_ended, wait_for_end

LONG = "echo pids; sleep 60"
BODY = bytes(range(256)) * 16
Inject = Callable[..., None]


def put(server: Server, document: Any) -> requests.Response:
    return requests.put(f"{server.state['endpoint']}/_faults", json=document, auth=server.password, timeout=PATIENCE)


def hits(server: Server) -> list[dict[str, Any]]:
    answer = requests.get(f"{server.state['endpoint']}/_faults", auth=server.password, timeout=PATIENCE)
    recorded: list[dict[str, Any]] = answer.json()["hits"]
    return recorded


@pytest.fixture
def inject(aws: Server) -> Iterator[Inject]:
    """Inject faults into the shared server, for one test."""
    put(aws, {})

    def inject(*faults: dict[str, Any]) -> None:
        calls = [fault for fault in faults if "service" in fault]
        put(aws, {"jobs": [fault for fault in faults if fault not in calls], "calls": calls}).raise_for_status()

    yield inject
    put(aws, {})


@pytest.fixture
def bucket(aws: Server) -> str:
    return aws.output("Direct")


def refusal(state: Path, document: Any, **environment: str) -> str:
    """Return the message of a server that does not start with these faults."""
    file = state / "faults.json"
    file.write_text(json.dumps(document))
    words = command(state / "state", "--executor", "process", "--inject", str(file))
    env = {**os.environ, **environment}
    process = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False, env=env)
    assert (process.returncode, process.stdout) == (1, "")
    (message,) = process.stderr.splitlines()
    return message


def test_faults_of_a_file_are_injected_and_recorded(start_server: Start, tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"jobs": [{"job": "te*", "fault": "host_lost"}]}))
    server = start_server(tmp_path / "state", "--executor", "process", "--inject", str(file))
    job = server.run("test $AWS_BATCH_JOB_ATTEMPT = 2")
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 2)
    [hit] = hits(server)
    assert (hit["fault"], hit["job"], hit["job_id"], hit["attempt"]) == ("host_lost", "test", job["jobId"], 1)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "Invalid JSON"),
        ({"job": []}, "job: Extra inputs are not permitted"),
        ({"jobs": [{"job": "a", "fault": "fire"}]}, "jobs.0.fault: Input should be 'host_lost', 'host_drained'"),
        ({"jobs": [{"job": "a", "fault": "hang", "hard": 1}]}, "jobs.0.hard: Extra inputs are not permitted"),
        ({"jobs": [{"fault": "hang"}]}, "jobs.0.job: Field required"),
        ({"jobs": [{"job": "a", "fault": "hang", "times": 0}]}, "jobs.0.times: Input should be greater"),
        ({"jobs": [{"job": "a", "fault": "image_pull", "after": 1}]}, "`after` belongs to host_lost"),
        ({"calls": [{"service": "s4", "operation": "*", "fault": "500"}]}, "boto3 knows no service s4"),
        ({"calls": [{"service": "s3", "operation": "Get", "fault": "500"}]}, "s3 has no operation Get"),
        ({"calls": [{"service": "sns", "operation": "*", "fault": "500", "key": "a"}]}, "`key` belongs to s3"),
        ({"calls": [{"service": "s3", "operation": "*", "fault": "503", "seconds": 1}]}, "`seconds` belongs to delay"),
        ({"scratch_mib": 0}, "scratch_mib: Input should be greater"),
    ],
)
def test_an_invalid_faults_file_is_refused_in_one_sentence(tmp_path: Path, document: Any, reason: str) -> None:
    file = tmp_path / "faults.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(FaultsError) as error:
        faults.read(file)
    message = str(error.value)
    assert message.startswith(f"{file}: ")
    assert reason in message
    assert message.endswith("the README of embedded-aws has the format")
    assert "\n" not in message


def test_a_missing_faults_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FaultsError, match=r"none.json cannot be read: No such file or directory"):
        faults.read(tmp_path / "none.json")


def test_invalid_faults_in_a_request_are_refused(aws: Server) -> None:
    for document in ({"jobs": [{"job": "a", "fault": "fire"}]}, {"scratch_mib": 5}):
        response = put(aws, document)
        assert (response.status_code, list(response.json())) == (400, ["error"])


def test_a_fault_of_a_job_can_wait_for_that_of_a_call_during_the_attempt() -> None:
    delay = CallFault(service="s3", operation="GetObject", key="*_R1*", fault="delay", times=2)
    injector = FaultInjector()
    injector.load(FaultsFile(jobs=(JobFault(job="a", fault="host_lost", after_call="*_R1*"),), calls=(delay,)))
    injector.take(delay, service="s3", operation="GetObject", key="before_R1.fq")
    with injector.attempt("a", "id", 1) as fault:
        assert not fault.is_due(99)
        injector.take(delay, service="s3", operation="GetObject", key="x_R1.fq")
        assert fault.is_due(0)


def test_a_lost_host_kills_all_processes_and_leaves_no_exit_code(aws: Server, inject: Inject, tmp_path: Path) -> None:
    inject({"job": "test", "fault": "host_lost", "after": 1.5, "times": 3})
    pid = f"{tmp_path}/pid.$AWS_BATCH_JOB_ATTEMPT"
    script = f"trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > {pid}; sleep 60; :' & sleep 60; :"
    job = aws.run(script)
    assert job["status"] == "FAILED"
    assert [attempt["statusReason"].split(" (")[0] for attempt in job["attempts"]] == ["Host EC2"] * 3
    assert job["statusReason"].endswith(") terminated.")
    assert not any("exitCode" in attempt["container"] for attempt in job["attempts"])
    pids = [text for path in tmp_path.glob("pid.*") if (text := path.read_text().strip())]
    assert pids  # of three attempts; on a busy machine an attempt may be lost before its first line
    assert all(wait_for_end(int(pid)) for pid in pids)


def test_a_drained_host_sends_sigterm_and_reports_the_exit_code_of_the_job(aws: Server, inject: Inject) -> None:
    inject({"job": "test", "fault": "host_drained", "after": 3})  # by then its trap is set
    strategy = {"attempts": 1}
    job = aws.run("trap 'echo saved; exit 75' TERM; while :; do sleep 0.1; done", retryStrategy=strategy)
    assert (job["statusReason"], job["container"]["exitCode"]) == ("Essential container in task exited", 75)
    assert "saved" in aws.lines(job)
    assert not job["isTerminated"]


def test_a_job_out_of_memory_is_killed_with_the_reason_of_ecs(aws: Server, inject: Inject) -> None:
    inject({"job": "test", "fault": "out_of_memory", "after": 0.2})
    container = aws.run(LONG, retryStrategy={"attempts": 1})["container"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_a_job_whose_image_cannot_be_pulled_does_not_start(aws: Server, inject: Inject, tmp_path: Path) -> None:
    inject({"job": "test", "fault": "image_pull", "times": 2})
    job = aws.run(f"echo >> {tmp_path}/starts", retryStrategy={"attempts": 2})
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotPullContainerError: ")
    assert not (tmp_path / "starts").exists()


def test_a_fault_finds_one_child_of_an_array_by_its_index(aws: Server, inject: Inject) -> None:
    inject({"job": "te*:1", "fault": "host_lost"})
    parent = aws.run("true", arrayProperties={"size": 2})
    assert parent["status"] == "SUCCEEDED"
    assert [len(aws.job(f"{parent['jobId']}:{index}")["attempts"]) for index in (0, 1)] == [1, 2]


def test_a_hung_job_does_nothing_until_its_time_limit(aws: Server, inject: Inject, tmp_path: Path) -> None:
    inject({"job": "test", "fault": "hang", "after": 2, "limit": 8})
    script = f"setsid sh -c 'while :; do echo >> {tmp_path}/ticks; sleep 0.05; done' & sleep 60; :"
    job_id = aws.submit(script)
    eventually(lambda: {state_of(pid) for pid in pids_of(job_id)} == {"T"}, "the fault")  # every process is suspended
    ticks = (tmp_path / "ticks").stat().st_size
    job = aws.finished(job_id)
    assert (job["statusReason"], len(job["attempts"])) == ("Job attempt duration exceeded timeout", 1)
    assert (tmp_path / "ticks").stat().st_size <= ticks + 1
    assert job["container"]["exitCode"] == 137


def pids_of(job_id: str) -> list[int]:
    mark = f"AWS_BATCH_JOB_ID={job_id}".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in read(path)]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def state_of(pid: int) -> str:
    return (read(Path(f"/proc/{pid}/stat")).decode().rpartition(")")[2].split() or ["gone"])[0]


def test_a_job_that_is_never_placed_is_cancelled_by_the_queue(aws: Server, inject: Inject) -> None:
    fault = {"job": "test", "fault": "not_placed"}
    inject(fault, {**fault, "reason": "MISCONFIGURATION:X"})
    job = aws.run("true")
    limit = "Canceled by JobStateTimeLimit action due to reason: "
    assert job["statusReason"] == f"{limit}CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    assert (job["status"], job["isCancelled"], job["attempts"]) == ("FAILED", True, [])
    assert aws.run("true")["statusReason"] == "MISCONFIGURATION:X"
    assert aws.run("true")["status"] == "SUCCEEDED"


def test_a_fault_for_other_jobs_or_a_later_time_is_not_injected(aws: Server, inject: Inject) -> None:
    inject({"job": "other-*", "fault": "host_lost"}, {"job": "test", "fault": "host_lost", "after": 30})
    before = len(hits(aws))
    assert aws.run("true")["status"] == "SUCCEEDED"
    assert aws.run("true")["status"] == "SUCCEEDED"
    assert len(hits(aws)) == before


@pytest.mark.parametrize(
    ("service", "operation", "fault", "status", "code"),
    [
        ("s3", "GetObject", "503", 503, "SlowDown"),
        ("s3", "GetObject", "403", 403, "AccessDenied"),
        ("s3", "GetObject", "500", 500, "InternalError"),
        ("dynamodb", "ListTables", "throttled", 400, "ProvisionedThroughputExceededException"),
        ("stepfunctions", "ListStateMachines", "throttled", 400, "ThrottlingException"),
        ("stepfunctions", "ListStateMachines", "503", 503, "ServiceUnavailable"),
        ("lambda", "ListFunctions", "429", 429, "TooManyRequestsException"),
        ("batch", "DescribeJobQueues", "500", 500, "ServerException"),
        ("sns", "ListTopics", "403", 403, "AccessDeniedException"),
    ],
)
def test_an_injected_error_looks_like_one_of_aws_and_the_next_call_succeeds(
    aws: Server, inject: Inject, bucket: str, service: str, operation: str, fault: str, status: int, code: str
) -> None:
    inject({"service": service, "operation": operation, "fault": fault})
    client = aws.client(service)
    aws.s3.put_object(Bucket=bucket, Key="refused", Body=b"x")

    def call() -> Any:
        parameters = {"Bucket": bucket, "Key": "refused"} if service == "s3" else {}
        return client._make_api_call(operation, parameters)

    with pytest.raises(ClientError) as error:
        call()
    response = error.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code)
    assert call()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (hits(aws)[-1]["service"], hits(aws)[-1]["operation"]) == (service, operation)


def test_a_fault_of_a_key_affects_only_matching_keys(aws: Server, inject: Inject, bucket: str) -> None:
    inject({"service": "s3", "operation": "HeadObject", "fault": "503", "times": 9, "key": "a b/*_R1.*"})
    for key in ("a b/x_R1.gz", "a b/x_R2.gz"):
        aws.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    aws.s3.head_object(Bucket=bucket, Key="a b/x_R2.gz")
    with pytest.raises(ClientError, match="503"):
        aws.s3.head_object(Bucket=bucket, Key="a b/x_R1.gz")


def test_a_reset_connection_has_no_response(aws: Server, inject: Inject, bucket: str) -> None:
    inject({"service": "s3", "operation": "PutObject", "fault": "reset"})
    with pytest.raises(ConnectionClosedError):
        aws.s3.put_object(Bucket=bucket, Key="reset", Body=BODY)
    aws.s3.put_object(Bucket=bucket, Key="reset", Body=BODY)


@pytest.mark.parametrize("size", [4096, 3 << 20])
def test_a_flipped_bit_changes_one_byte_of_the_response(aws: Server, inject: Inject, bucket: str, size: int) -> None:
    body = (BODY * (1 + size // len(BODY)))[:size]
    aws.s3.put_object(Bucket=bucket, Key="flip", Body=body)
    inject({"service": "s3", "operation": "GetObject", "fault": "flip"})
    quiet = {"Bucket": bucket, "Key": "flip"}  # without ChecksumMode: the checksum of the client has other tests
    flipped = aws.s3._make_api_call("GetObject", quiet)["Body"]._raw_stream.read()
    assert sum(one != other for one, other in zip(flipped, body, strict=True)) == 1
    assert aws.s3.get_object(**quiet)["Body"].read() == body


def test_a_short_response_ends_before_its_content_length(aws: Server, inject: Inject, bucket: str) -> None:
    aws.s3.put_object(Bucket=bucket, Key="short", Body=BODY)
    inject({"service": "s3", "operation": "GetObject", "fault": "short"})
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        aws.s3.get_object(Bucket=bucket, Key="short")["Body"].read()
    assert aws.s3.get_object(Bucket=bucket, Key="short")["Body"].read() == BODY


def test_a_bit_flipped_in_an_upload_is_refused_by_its_checksum(aws: Server, inject: Inject, bucket: str) -> None:
    inject({"service": "s3", "operation": "UploadPart", "fault": "flip"})
    upload = aws.s3.create_multipart_upload(Bucket=bucket, Key="up", ChecksumAlgorithm="CRC64NVME")["UploadId"]
    part = {"Bucket": bucket, "Key": "up", "UploadId": upload, "PartNumber": 1, "Body": BODY}
    with pytest.raises(ClientError, match="BadDigest"):
        aws.s3.upload_part(**part, ChecksumAlgorithm="CRC64NVME")
    assert aws.s3.upload_part(**part, ChecksumAlgorithm="CRC64NVME")["ChecksumCRC64NVME"]
    aws.s3.abort_multipart_upload(Bucket=bucket, Key="up", UploadId=upload)


def test_a_delayed_call_is_answered_late(aws: Server, inject: Inject) -> None:
    inject({"service": "sqs", "operation": "ListQueues", "fault": "delay", "seconds": 0.7})
    began = time.monotonic()
    aws.sqs.list_queues()
    assert time.monotonic() - began >= 0.7


def test_calls_of_a_state_machine_have_faults_too(aws: Server, inject: Inject) -> None:
    inject({"service": "lambda", "operation": "Invoke", "fault": "429", "times": 2})
    retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": aws.output("Echo"), "Payload": {}},
        "Retry": retry,
        "End": True,
    }
    assert aws.execute({"Call": task})["status"] == "SUCCEEDED"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk of its own")
def test_a_scratch_disk_of_a_given_size_can_be_full(start_server: Start, tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"scratch_mib": 4}))
    server = start_server(tmp_path / "state", "--executor", "process", "--inject", str(file))
    fill = "mkdir -p $SCRATCH && head -c 8000000 /dev/zero > $SCRATCH/big"
    job = server.run(f"{fill}; rm $SCRATCH/big; exit 70", retryStrategy={"attempts": 1})
    assert any("No space left on device" in line for line in server.lines(job))
    volumes = tmp_path / "state/volumes"
    assert os.path.ismount(volumes)
    server.process.kill()
    server.process.wait()
    again = start_server(tmp_path / "state", "--executor", "process")
    assert not os.path.ismount(volumes)
    assert again.run("mkdir -p $SCRATCH && head -c 8000000 /dev/zero > $SCRATCH/big")["status"] == "SUCCEEDED"


def test_a_server_with_an_invalid_faults_file_does_not_start(tmp_path: Path) -> None:
    assert "jobs.0.fault: Input should be" in refusal(tmp_path, {"jobs": [{"job": "a", "fault": "fire"}]})


def test_a_scratch_disk_that_cannot_be_mounted_is_reported(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"scratch_mib": 4}, PATH=str(tmp_path))
    assert "scratch_mib needs" in message
    assert not os.path.ismount(tmp_path / "state/volumes")


def test_every_process_of_a_job_ends_with_the_job(aws: Server, tmp_path: Path) -> None:
    job = aws.run(f"setsid sh -c 'echo $$ > {tmp_path}/pid; sleep 60; :' & while ! [ -s {tmp_path}/pid ]; do :; done")
    assert job["status"] == "SUCCEEDED"
    assert wait_for_end(int((tmp_path / "pid").read_text()))


def test_the_next_start_removes_jobs_and_folders_of_a_killed_server_only(
    start_server: Start, aws: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = aws.submit("sleep 600", timeout={"attemptDurationSeconds": 600})  # longer than the start of two servers
    aws.job_in(live, "RUNNING")
    killed = start_server(tmp_path, "--executor", "process")
    killed.submit(f"env -u HOME setsid sh -c 'echo $$ > {tmp_path}/pid; sleep 600; :' & sleep 600")
    pid = int(eventually(lambda: read(tmp_path / "pid"), "the job"))
    folder = next(
        Path(entry.removeprefix(b"EMBEDDED_AWS_FOLDER=").decode())
        for entry in read(Path(f"/proc/{pid}/environ")).split(b"\0")
        if entry.startswith(b"EMBEDDED_AWS_FOLDER=")
    )
    killed.process.kill()
    killed.process.wait()
    assert not has_ended(pid)
    assert folder.is_dir()
    start_server(tmp_path, "--executor", "process")
    assert wait_for_end(pid)
    assert not folder.exists()
    assert aws.job(live)["status"] == "RUNNING"
    aws.batch.terminate_job(jobId=live, reason="test done")
    aws.finished(live)
