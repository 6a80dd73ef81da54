"""The server: deployment, refusals, cleanup."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from embedded_aws import __main__ as server_program
from embedded_aws.faults import scratch_disk
from embedded_server import PATIENCE, Server, Start, command, eventually, stop, wait_for_end
from warm_python import EMBEDDED, WarmProcess, parent_pid

MESSAGE = 1 << 16  # bytes; more than the output of a server that does not start


def refusal(state: Path, *more: str) -> str:
    """Return the message of a server that does not start."""
    errors = os.memfd_create("errors")
    try:
        process = WarmProcess(command(state, *more)[1:], os.environ, *EMBEDDED, stderr=errors)
        printed, _ = process.communicate(PATIENCE)
        (sentence,) = os.pread(errors, MESSAGE, 0).decode().splitlines()
    finally:
        os.close(errors)
    assert (process.returncode, printed) == (1, "")
    return sentence


def test_describe_stacks_answers_as_on_aws(aws: Server) -> None:
    (stack,) = aws.client("cloudformation").describe_stacks(StackName="t")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs == aws.state["outputs"]
    assert outputs["Sentence"] == "hello narrow world"
    assert "OnlyWide" not in outputs
    assert {"ParameterKey": "Greeting", "ParameterValue": "hello"} in stack["Parameters"]


def test_an_unknown_stack_is_not_described(aws: Server) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        aws.client("cloudformation").describe_stacks(StackName="other")


def test_the_resources_of_the_stack_are_listed(aws: Server) -> None:
    resources = aws.client("cloudformation").describe_stack_resources(StackName="t")["StackResources"]
    queue = {r["LogicalResourceId"]: r for r in resources}["JobQueue"]
    assert (queue["ResourceType"], queue["PhysicalResourceId"]) == ("AWS::Batch::JobQueue", aws.output("Queue"))


def test_resources_that_are_not_created_are_listed_as_skipped(aws: Server) -> None:
    assert aws.state["skipped"] == ["BridgeBucketPolicy (AWS::S3::BucketPolicy)"]


def test_the_table_has_its_index_and_its_expiry(aws: Server) -> None:
    dynamodb, name = aws.client("dynamodb"), aws.output("Seen")
    (index,) = dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by-sample"
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (expiry["AttributeName"], expiry["TimeToLiveStatus"]) == ("expires", "ENABLED")


def test_an_item_is_read_as_it_was_written(aws: Server) -> None:
    """Each kind of attribute, also in others: an adapter writes them to the answers."""
    kinds = {"S": "text", "N": "1.5", "B": b"\x00\xff", "BOOL": False, "NULL": True, "SS": ["a", "b"], "NS": ["1", "2"]}
    attributes = {name: {name: value} for name, value in kinds.items()}
    attributes |= {"empty": {"S": ""}, "none": {"L": []}, "BS": {"BS": [b"a"]}}
    item = {**attributes, "L": {"L": [{"M": attributes}, {"L": [{"S": "deep"}]}]}, "M": {"M": {"S": {"M": attributes}}}}
    dynamodb, name = aws.client("dynamodb"), aws.output("Seen")
    [key] = dynamodb.describe_table(TableName=name)["Table"]["KeySchema"]
    item[key["AttributeName"]] = {"S": "every kind"}
    dynamodb.put_item(TableName=name, Item=item)
    found = dynamodb.scan(
        TableName=name,
        FilterExpression="#key = :key",
        ExpressionAttributeNames={"#key": key["AttributeName"]},
        ExpressionAttributeValues={":key": {"S": "every kind"}},
    )
    read = dynamodb.get_item(TableName=name, Key={key["AttributeName"]: {"S": "every kind"}})["Item"]
    assert [read] == found["Items"] == [item]


def test_the_job_definition_has_all_properties_of_the_template(aws: Server) -> None:
    (result,) = aws.batch.describe_job_definitions(jobDefinitions=[aws.output("Shell")])["jobDefinitions"]
    assert result["timeout"] == {"attemptDurationSeconds": 60}
    assert result["retryStrategy"]["attempts"] == 3
    assert result["parameters"] == {"script": "true"}
    options = result["containerProperties"]["logConfiguration"]["options"]
    assert options == {"awslogs-group": "/t/jobs", "awslogs-stream-prefix": "shell"}


def test_the_state_has_the_executor_and_the_reason(aws: Server) -> None:
    assert (aws.state["executor"], aws.state["executor_reason"]) == ("process", "asked for")


def test_parameters_and_conditions_reach_the_template(start_server: Start, tmp_path: Path) -> None:
    more = ("--parameter", "Greeting=good day", "--parameter", "Wide=true", "--executor", "process")
    server = start_server(tmp_path, *more)
    assert server.output("Sentence") == "good day wide world"
    assert server.output("OnlyWide")
    assert (server.state["parameters"]["Greeting"], server.state["parameters"]["Wide"]) == ("good day", "true")


def test_a_second_server_is_refused_in_one_sentence(start_server: Start, tmp_path: Path) -> None:
    first = start_server(tmp_path, "--executor", "process")
    sentence = refusal(tmp_path)
    assert f"stack t already runs here: process {first.process.pid}" in sentence
    assert json.loads((tmp_path / "t.json").read_text()) == first.state


@pytest.mark.parametrize("stacks", [("t", "t"), ("t", "u")], ids=["the same", "another"])
def test_of_two_servers_that_start_at_the_same_time_one_is_refused(tmp_path: Path, stacks: tuple[str, str]) -> None:
    more = ("--executor", "process", "--with-parent", str(parent_pid(*EMBEDDED)))
    both = [WarmProcess(command(tmp_path, *more, stack=stack)[1:], os.environ, *EMBEDDED) for stack in stacks]
    eventually(lambda: any(one.poll() is not None for one in both) or len(list(tmp_path.glob("*.json"))) > 1, "one")
    [loser] = [one for one in both if one.poll() is not None]
    message, _ = loser.communicate(PATIENCE)
    assert (loser.returncode, "another server runs" in message or "already runs here" in message) == (1, True)
    [other] = [one for one in both if one is not loser]
    [state_file] = eventually(lambda: list(tmp_path.glob("*.json")), "the state file of the other server")
    other.terminate()
    assert other.wait(PATIENCE) == 0
    assert f'"pid": {other.pid}' in other.communicate(PATIENCE)[0]
    assert not state_file.exists()


def test_the_state_file_of_a_dead_server_is_replaced(start_server: Start, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"pid": 2147483646}')
    server = start_server(tmp_path, "--executor", "process")
    assert json.loads((tmp_path / "t.json").read_text())["pid"] == server.process.pid


def test_a_busy_port_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is taken" in refusal(tmp_path, "--port", str(port))
    assert not list(tmp_path.iterdir())


def test_a_template_that_is_not_built_is_refused_in_one_sentence(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert "run `sam build` first" in refusal(state, "--template", str(tmp_path / "template.yaml"))
    (tmp_path / "template.yaml").write_text(
        "Transform: AWS::Serverless-2016-10-31\n"
        "Resources:\n  F:\n    Type: AWS::Serverless::Function\n"
        "    Properties: {Handler: a.b, Runtime: python3.11, CodeUri: nowhere}\n"
    )
    assert "is not built: " in refusal(state, "--template", str(tmp_path / "template.yaml"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_leaves_no_processes_and_no_files(
    start_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    server = start_server(tmp_path / "state", "--executor", "process")
    server.functions.invoke(FunctionName=server.output("Echo"), Payload=b"{}")
    server.job_in(server.submit("mkdir -p $SCRATCH; sleep 600 & sleep 600"), "RUNNING")
    processes = eventually(lambda: len(result := descendants(server.process.pid)) >= 3 and result, "a worker and a job")
    server.process.send_signal(number)
    assert server.process.wait(PATIENCE) == 0
    assert [pid for pid in processes if Path(f"/proc/{pid}/cmdline").exists() and cmdline(pid)] == []
    assert list(scratch.iterdir()) == []
    assert list((tmp_path / "state").iterdir()) == []


def test_the_server_ends_with_its_parent(tmp_path: Path) -> None:
    assert wait_for_end(with_parent(tmp_path, "subprocess.PIPE", "s.stdout.readline()"))
    assert not (tmp_path / "t.json").exists()


def test_the_server_ends_if_its_parent_ends_before_it_is_ready(tmp_path: Path) -> None:
    assert wait_for_end(with_parent(tmp_path, "subprocess.DEVNULL", ""))
    assert not (tmp_path / "t.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_full_temporary_disk_is_reported_in_a_sentence_and_not_retried(
    start_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    scratch_disk.mount(disk, 8)
    try:
        monkeypatch.setenv("TMPDIR", str(disk))
        server = start_server(tmp_path / "state", "--executor", "process")
        server.s3.create_bucket(Bucket="full")
        with pytest.raises(
            ClientError, match=f"InsufficientStorage.* No space is left in {disk}.* set TMPDIR"
        ) as raised:
            server.s3.put_object(Bucket="full", Key="x", Body=bytes(16 << 20))
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
        assert server.s3.list_objects_v2(Bucket="full")["KeyCount"] == 0
        assert stop(server) == 0
    finally:
        scratch_disk.unmount(disk)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_temporary_disk_without_space_for_the_code_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    scratch_disk.mount(disk, 1)
    try:
        other = disk / "other"
        other.write_bytes(bytes((1 << 20) - 2 * os.sysconf("SC_PAGESIZE")))
        monkeypatch.setenv("TMPDIR", str(disk))
        message = refusal(tmp_path / "state", "--executor", "process")
        assert list(disk.iterdir()) == [other]
    finally:
        scratch_disk.unmount(disk)
    assert message == (
        f"embedded_aws: No space is left in {disk}, where the embedded AWS keeps objects and code: free some space "
        "there, or set TMPDIR to another folder and start it again."
    )


def test_what_a_killed_server_has_left_is_removed(start_server: Start, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--executor", "process")
    server.job_in(server.submit("mkdir -p $SCRATCH; sleep 600 & sleep 600"), "RUNNING")
    left = eventually(lambda: len(pids := descendants(server.process.pid)) >= 2 and pids, "a job")
    server.process.kill()
    server.process.wait(PATIENCE)
    words = [sys.executable, "-m", "embedded_aws.clean_up", "--state", str(tmp_path), "--stack", "t"]
    subprocess.run(words, check=True, timeout=PATIENCE)
    assert all(wait_for_end(pid) for pid in left)
    assert list(tmp_path.iterdir()) == []


class CountedPolls(threading.Event):
    """A signal to stop that counts how often it was looked at."""

    polls = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.polls += 1
        return super().wait(timeout)


def test_the_server_outlives_a_parent_that_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_program, "PARENT_POLL", 0.01)
    stop_signal, keep, gone = CountedPolls(), threading.Event(), -1
    server_program.wait(stop_signal, keep, gone)
    assert stop_signal.polls == 1
    keep.set()
    thread = threading.Thread(target=server_program.wait, args=(stop_signal, keep, gone))
    thread.start()
    eventually(lambda: stop_signal.polls > 3, "three more looks")
    assert thread.is_alive()
    stop_signal.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def with_parent(state: Path, output: str, last: str) -> int:
    """Return the process id of a server whose parent ends after the statement `last`."""
    words = [*command(state, "--executor", "process"), "--with-parent"]
    start = f"s = subprocess.Popen([*sys.argv[1:], str(os.getpid())], stdout={output}, stderr=subprocess.DEVNULL)"
    script = "\n".join(["import os, subprocess, sys", start, last, "print(s.pid)"])
    process = subprocess.run([words[0], "-c", script, *words], capture_output=True, text=True, check=True)
    return int(process.stdout)


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for a zombie
    except OSError:
        return b""


def descendants(pid: int) -> list[int]:
    result: list[int] = []
    with contextlib.suppress(OSError):  # threads and processes end while one looks
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for child in map(int, (task / "children").read_text().split()):
                    result += [child, *descendants(child)]
    return result


def test_the_server_prints_one_line(start_server: Start, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--executor", "process")
    stop(server)
    assert server.process.stdout
    assert server.process.stdout.read() == ""
    assert server.state["endpoint"] == f"http://127.0.0.1:{server.state['port']}"
