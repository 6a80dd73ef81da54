"""The Docker runner: limits, mounts, and the connection of a container to the embedded AWS."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
import requests
from botocore.exceptions import ClientError
from docker.errors import DockerException
from embedded_aws.runners.docker_engine import DockerRunner
from embedded_server import PATIENCE, Server, Start, eventually, launch, stop

IMAGE = os.environ.get("EMBEDDED_TEST_IMAGE", "debian:bookworm-slim")  # any with bash

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def engine() -> Any:
    try:
        client = docker.from_env()
        client.ping()
    except DockerException:
        pytest.skip("no Docker engine answers")
    if IMAGE not in {tag for image in client.images.list() for tag in image.tags}:
        pytest.skip(f"the engine holds no image {IMAGE}")
    return client


@pytest.fixture(scope="module")
def aws(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    state = tmp_path_factory.mktemp("docker")
    server = launch(state, "--executor", "docker", "--parameter", f"Image={IMAGE}")
    yield server
    stop(server)


def containers(engine: Any, pid: int) -> list[Any]:
    label = {"label": f"embedded-aws.server={pid}"}
    result: list[Any] = engine.containers.list(all=True, filters=label, ignore_removed=True)
    return result


def definition(aws: Server, **properties: Any) -> str:
    """Register a job definition that runs `script`, with more properties than that of the stack."""
    properties = {
        "image": IMAGE,
        "command": ["bash", "-c", "Ref::script"],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": aws.output("LogGroup")}},
        **properties,
    }
    name = f"docker-{uuid.uuid4().hex[:8]}"
    response = aws.batch.register_job_definition(
        jobDefinitionName=name, type="container", containerProperties=properties
    )
    return str(response["jobDefinitionArn"])


def test_auto_selects_docker_if_the_engine_holds_every_image(engine: Any, start_server: Start, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--parameter", f"Image={IMAGE}")
    assert (server.state["executor"], "holds every image" in server.state["executor_reason"]) == ("docker", True)


def test_auto_selects_processes_if_an_image_is_missing(engine: Any, start_server: Start, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--parameter", "Image=no-such-image:1")
    assert server.state["executor"] == "process"
    assert server.state["executor_reason"] == "the engine holds no image no-such-image:1"


def test_a_container_runs_in_the_image_and_is_removed(aws: Server, engine: Any) -> None:
    job = aws.run("cat /etc/debian_version; echo $GREETING; exit 65")
    assert (job["container"]["exitCode"], aws.lines(job)[1]) == (65, "hello")
    eventually(lambda: not containers(engine, aws.process.pid), "the container's removal")


def test_output_is_in_the_log_while_the_container_runs(aws: Server) -> None:
    job_id = aws.submit("trap 'exit 143' TERM; echo first; sleep 60 & wait")  # as pid 1 it has to ask for TERM
    job = aws.job_in(job_id, "RUNNING")
    assert eventually(lambda: aws.lines(job), "a line of a running job") == ["first"]
    aws.batch.terminate_job(jobId=job_id, reason="test done")
    job = aws.finished(job_id)
    assert (job["statusReason"], job["container"]["exitCode"]) == ("test done", 143)


def test_a_container_reaches_the_embedded_aws(aws: Server) -> None:
    script = "at=${AWS_ENDPOINT_URL#http://}; exec 3<>/dev/tcp/${at%:*}/${at#*:} && echo connected"
    assert aws.lines(aws.run(script)) == ["connected"]


def test_a_container_finds_its_image_where_the_agent_of_ecs_has_it(aws: Server, engine: Any) -> None:
    script = """
    url=${ECS_CONTAINER_METADATA_URI_V4#http://}; at=${url%%/*}; exec 3<>/dev/tcp/${at%:*}/${at#*:}
    printf "GET /${url#*/} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n" >&3; cat <&3; echo
    """
    [answer] = [line for line in aws.lines(aws.run(script)) if line.startswith("{")]
    metadata = json.loads(answer)
    assert (metadata["Image"], metadata["ImageID"]) == (IMAGE, engine.images.get(IMAGE).id)
    assert requests.get(f"{aws.state['endpoint']}/_ecs/v4/other", timeout=PATIENCE).status_code == 403


# Sends each request to this machine from a container, as any container on the bridge can, and prints the status line.
FROM_THE_BRIDGE = r"""
at=${AWS_ENDPOINT_URL#http://}
ask() {
    exec 3<>/dev/tcp/${at%:*}/${at#*:}
    printf "$1 HTTP/1.1\r\nHost: ${2:-$at}\r\nConnection: close\r\n$3\r\n" >&3
    head -1 <&3
}
password=$(printf %s "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" | base64 -w0)
ask "GET /"
ask "POST /2015-03-31/functions"
ask "GET /moto-api/data.json"
ask "POST /moto-api/reset"
ask "GET /_faults"
ask "GET /" evil.example
ask "GET /" "$at" "Origin: http://evil.example\r\n"
ask "GET /_faults" "$at" "Authorization: Basic $password\r\n"
(exec 4<>/dev/tcp/127.0.0.1/${at#*:}) 2>/dev/null && echo "the loopback address is reached" || echo closed
"""


def test_a_container_on_the_bridge_is_refused(aws: Server) -> None:
    """Without a signature, from another name, from a web page, and the control paths with the access key of the job."""
    *statuses, loopback = aws.lines(aws.run(FROM_THE_BRIDGE))
    assert {line.strip() for line in statuses} == {"HTTP/1.1 403 AccessDenied"}
    assert (len(statuses), loopback) == (8, "closed")


def test_the_access_key_of_a_container_is_that_of_jobs(aws: Server) -> None:
    [access_key_id, secret] = aws.lines(aws.run("echo $AWS_ACCESS_KEY_ID; echo $AWS_SECRET_ACCESS_KEY"))
    bridge = f"http://{DockerRunner().gateway()}:{aws.state['port']}"
    make: Any = boto3.client
    job = {"region_name": "us-east-1", "aws_access_key_id": access_key_id, "aws_secret_access_key": secret}
    s3, functions = (make(name, endpoint_url=bridge, **job) for name in ("s3", "lambda"))
    aws.s3.create_bucket(Bucket="from-a-container")
    s3.put_object(Bucket="from-a-container", Key="x", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.list_functions()
    assert access_key_id not in aws.password


def test_a_volume_is_mounted_at_the_path_of_the_definition(aws: Server) -> None:
    job = aws.run("echo kept > /scratch/file; cat $SCRATCH/../file; mkdir -p $SCRATCH; ls -d $SCRATCH")
    assert aws.lines(job)[-1] == "/scratch/jobs"
    assert aws.run("cat /scratch/file")["status"] == "SUCCEEDED"


def test_a_container_that_exceeds_its_memory_is_killed(aws: Server) -> None:
    job = aws.run("x=$(head -c 500m /dev/zero | tr '\\0' x)", jobDefinition=definition(aws))
    assert job["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert job["container"]["exitCode"] == 137


def test_linux_parameters_are_applied(aws: Server) -> None:
    linux = {
        "initProcessEnabled": True,
        "tmpfs": [{"containerPath": "/fast", "size": 8, "mountOptions": ["rw"]}],
    }
    job_definition = definition(aws, readonlyRootFilesystem=True, user="1000", linuxParameters=linux)
    script = "id -u; touch /here 2>/dev/null || echo read-only; touch /fast/there && echo tmpfs; cat /proc/1/comm"
    lines = aws.lines(aws.run(script, jobDefinition=job_definition))
    assert lines[:3] == ["1000", "read-only", "tmpfs"]
    assert "init" in lines[3]


def test_a_missing_image_is_not_pulled(aws: Server) -> None:
    job = aws.run("true", jobDefinition=definition(aws, image="localhost:1/no-such-image:1"))
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotPullContainerError: ")


def test_a_missing_command_does_not_start(aws: Server, engine: Any) -> None:
    job = aws.run("", containerOverrides={"command": ["no-such-tool"]}, retryStrategy={"attempts": 1})
    assert job["container"]["reason"].startswith("CannotStartContainerError: ")
    assert not containers(engine, aws.process.pid)


@pytest.mark.parametrize(
    ("fault", "reason", "exit_code"),
    [
        ({"fault": "host_lost"}, "Host EC2 (instance i-", None),
        ({"fault": "host_drained"}, "Essential container in task exited", 143),
        ({"fault": "out_of_memory"}, "Essential container in task exited", 137),
        ({"fault": "hang", "limit": 4}, "Job attempt duration exceeded timeout", 137),
    ],
    ids=["lost", "drained", "memory", "hang"],
)
def test_a_fault_ends_a_container_and_removes_it(
    aws: Server, engine: Any, fault: dict[str, Any], reason: str, exit_code: int | None
) -> None:
    door = f"{aws.state['endpoint']}/_faults"
    faults = {"jobs": [{"job": "test", "after": 3, **fault}]}
    requests.put(door, json=faults, auth=aws.password, timeout=PATIENCE).raise_for_status()
    once = {"retryStrategy": {"attempts": 1}}
    job = aws.run("trap 'exit 143' TERM; sleep 60 & wait", **once)
    assert job["statusReason"].startswith(reason)
    assert job["attempts"][0]["container"].get("exitCode") == exit_code
    assert len(requests.get(door, auth=aws.password, timeout=PATIENCE).json()["hits"]) >= 1
    eventually(lambda: not containers(engine, aws.process.pid), "the container's removal")


def test_a_stopped_server_removes_its_containers(engine: Any, start_server: Start, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--executor", "docker", "--parameter", f"Image={IMAGE}")
    server.job_in(server.submit("sleep 600"), "RUNNING")
    assert containers(engine, server.process.pid)
    assert stop(server) == 0
    assert containers(engine, server.process.pid) == []
