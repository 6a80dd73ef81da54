"""A running `python -m embedded_aws` for the tests of embedded-aws, with helpers for what they do with it."""

import io
import json
import os
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from warm_python import EMBEDDED, WarmProcess, parent_pid

TEMPLATE = Path(__file__).parent / "embedded_stack" / "template.yaml"
MOCKS = Path(__file__).parent / "embedded_stack" / "mocks.json"
PATIENCE = 300.0  # seconds before a wait fails; no test needs a tenth of it, even five at a time on a slow machine
SHORTEST, LONGEST = 0.02, 0.4  # seconds between two checks: a tenth of the time waited so far
ENDED = ("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT")


def eventually(check: Callable[[], Any], what: Callable[[], str] | str, patience: float = PATIENCE) -> Any:
    """Return the first true answer of `check`; fail the test after `patience` seconds."""
    start = time.monotonic()
    while (waited := time.monotonic() - start) < patience:
        if result := check():
            return result
        time.sleep(min(max(SHORTEST, waited / 10), LONGEST))
    raise AssertionError(f"waited {patience:.0f} s in vain for {what if isinstance(what, str) else what()}")


def wait_for_end(pid: int) -> bool:
    """Wait until a process has ended: a killed process exists for a moment more."""
    return bool(eventually(lambda: has_ended(pid), f"the end of {pid}"))


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True


@dataclass
class Server:
    """A running server: its process and its state file."""

    process: WarmProcess
    state: dict[str, Any]
    _pending: dict[str, list[Any]] = field(default_factory=dict)  # received messages that no test has taken yet

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.state["endpoint"],
            region_name=self.state["region"],
            aws_access_key_id=self.state["access_key_id"],
            aws_secret_access_key=self.state["secret_access_key"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    @property
    def password(self) -> tuple[str, str]:
        """The access key, as user and password for the control paths."""
        return self.state["access_key_id"], self.state["secret_access_key"]

    @cached_property
    def batch(self) -> Any:
        return self.client("batch")

    @cached_property
    def states(self) -> Any:
        return self.client("stepfunctions")

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def sqs(self) -> Any:
        return self.client("sqs")

    @cached_property
    def functions(self) -> Any:
        return self.client("lambda")

    @cached_property
    def logs(self) -> Any:
        return self.client("logs")

    def output(self, name: str) -> str:
        return str(self.state["outputs"][name])

    def submit(self, script: str, **more: Any) -> str:
        request = {"jobName": "test", "jobQueue": self.output("Queue"), "jobDefinition": self.output("Shell")}
        parameters = {"script": script}
        return str(self.batch.submit_job(**{**request, "parameters": parameters, **more})["jobId"])

    def job(self, job_id: str) -> dict[str, Any]:
        result: dict[str, Any] = self.batch.describe_jobs(jobs=[job_id])["jobs"][0]
        return result

    def job_in(self, job_id: str, *statuses: str) -> dict[str, Any]:
        def check() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] in statuses else None

        result: dict[str, Any] = eventually(check, f"job {job_id} in {statuses}")
        return result

    def finished(self, job_id: str) -> dict[str, Any]:
        return self.job_in(job_id, "SUCCEEDED", "FAILED")

    def run(self, script: str, **more: Any) -> dict[str, Any]:
        return self.finished(self.submit(script, **more))

    def lines(self, job: dict[str, Any]) -> list[str]:
        group, stream = self.output("LogGroup"), job["container"]["logStreamName"]
        events = self.logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
        return [event["message"] for event in events]

    def create_function(self, name: str, source: str, modules: dict[str, str] | None = None, **more: Any) -> None:
        """Create a function whose app.py is `source`, with a `handler`, and with more modules."""
        self.functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="app.handler",
            Code={"ZipFile": packed_source(source, **(modules or {}))},
            **{"Role": self.output("Role"), **more},
        )

    def machine(self, states: dict[str, Any], name: str | None = None, **more: Any) -> str:
        """Create a machine that starts with the first of `states`."""
        definition = json.dumps({"StartAt": next(iter(states)), "States": states, **more})
        name = name or f"test-{uuid.uuid4().hex[:8]}"
        response = self.states.create_state_machine(
            name=name, definition=definition, roleArn=self.output("MachineRole")
        )
        return str(response["stateMachineArn"])

    def start(self, machine: str, execution_input: Any = None) -> str:
        text = json.dumps(execution_input or {})
        return str(self.states.start_execution(stateMachineArn=machine, input=text)["executionArn"])

    def ended(self, execution: str) -> dict[str, Any]:
        def check() -> dict[str, Any] | None:
            result: dict[str, Any] = self.states.describe_execution(executionArn=execution)
            return result if result["status"] in ENDED else None

        ended: dict[str, Any] = eventually(check, f"the end of {execution}")
        return ended

    def execute(self, states: dict[str, Any], execution_input: Any = None) -> dict[str, Any]:
        return self.ended(self.start(self.machine(states), execution_input))

    def history(self, execution: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.states.get_execution_history(executionArn=execution)["events"]
        return result

    def job_of(self, execution: str) -> str:
        """Return the id of the first job of an execution."""

        def check() -> str | None:
            for event in self.history(execution):
                if event["type"] == "TaskSubmitted":
                    return str(json.loads(event["taskSubmittedEventDetails"]["output"])["JobId"])
            return None

        return str(eventually(check, f"a job of {execution}"))

    def job_task(self, script: str, **more: Any) -> dict[str, Any]:
        """Return a state that runs `script`; it is an end state unless it has `Next`."""
        parameters = {
            "JobName": "task",
            "JobQueue": self.output("Queue"),
            "JobDefinition": self.output("Shell"),
            "Parameters": {"script": script},
        }
        parameters |= more.pop("Parameters", {})
        end = {} if "Next" in more else {"End": True}
        resource = "arn:aws:states:::batch:submitJob.sync"
        return {"Type": "Task", "Resource": resource, "Parameters": parameters, **end, **more}

    def messages(self, queue: str, matches: Callable[[Any], bool] = bool, count: int = 1) -> list[Any]:
        """Wait for `count` messages of a queue that match; remove them and return their bodies."""
        pending = self._pending.setdefault(queue, [])

        def check() -> list[Any] | None:
            pending.extend(self._received(self.output(queue)))
            result = [body for body in pending if matches(body)]
            return result if len(result) >= count else None

        result: list[Any] = eventually(check, f"{count} messages in {queue}")
        pending[:] = [body for body in pending if body not in result]
        return result

    def _received(self, url: str) -> Iterator[Any]:
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                yield json.loads(message["Body"])


Start = Callable[..., Server]


def packed_source(source: str, **modules: str) -> bytes:
    """Return the archive of a function: app.py, and other modules by their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {"app": source, **modules}.items():
            archive.writestr(f"{name}.py", text)
    return buffer.getvalue()


def command(state: Path, *more: str, stack: str = "t") -> list[str]:
    module = [sys.executable, "-m", "embedded_aws"]
    return [*module, "--template", str(TEMPLATE), "--stack", stack, "--state", str(state), *more]


def launch(state: Path, *more: str, stack: str = "t") -> Server:
    parent = str(parent_pid(*EMBEDDED))  # the server ends even if the tests are killed
    words = command(state, "--with-parent", parent, *more, stack=stack)[1:]
    process = WarmProcess(words, {**os.environ, "SFN_MOCK_CONFIG": str(MOCKS)}, *EMBEDDED, stderr=2)
    return Server(process, ready_state(process, state, stack))


def ready_state(process: WarmProcess, folder: Path, stack: str) -> dict[str, Any]:
    """Wait until a server is ready; return the content of its state file."""
    assert process.stdout.readline(), f"the server ended with {process.wait()} before it was ready"
    state: dict[str, Any] = json.loads((folder / f"{stack}.json").read_text())
    return state


def stop(server: Server) -> int:
    server.process.terminate()
    return server.process.wait(PATIENCE)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the server that most tests share, with jobs as processes: no engine is needed."""
    state = tmp_path_factory.mktemp("embedded")
    server = launch(state, "--executor", "process", "--vcpus", "4")
    yield server
    stop(server)


@pytest.fixture
def start_server() -> Iterator[Start]:
    """Start servers for one test."""
    started: list[Server] = []

    def start(state: Path, *more: str, stack: str = "t") -> Server:
        started.append(launch(state, *more, stack=stack))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            stop(server)
