"""Run the state machines in an engine that reads MockConfigFile.json: embedded-aws, or Step Functions Local."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from embedded_server import TEMPLATE, Server, eventually, ready_state, stop
from support.paths.make import FILE, JOINT_MACHINE, PIPELINE_MACHINE, PREPARATION_MACHINE, SUBSTITUTIONS
from support.pipeline_parts import machine
from warm_python import EMBEDDED, WarmProcess, parent_pid

DEFINITIONS = {PIPELINE_MACHINE: "pipeline", JOINT_MACHINE: "joint", PREPARATION_MACHINE: "prepare_reference"}
ROLE = "arn:aws:iam::123456789012:role/DummyRole"
Names = list[str]


@dataclass(frozen=True)
class Execution:
    """An execution that has ended, with its history."""

    description: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def ending(self) -> tuple[str, ...]:
        """The status and, of a failed execution, its error and the first line of its cause."""
        values = [self.description.get(word) for word in ("status", "error", "cause")]
        return tuple(text.split("\n", maxsplit=1)[0] for text in values if text is not None)

    def entered(self, states: dict[str, Any]) -> Names:
        """Return which of these states were entered, in order."""
        entered = [event["stateEnteredEventDetails"]["name"] for event in self.history if is_entry(event)]
        return [name for name in entered if name in states]

    @property
    def record(self) -> dict[str, str]:
        """The answer of record_run as the state machine stores it."""
        [text] = [e["stateEnteredEventDetails"]["input"] for e in self.history if is_entry(e, "RunComplete")]
        record: dict[str, str] = json.loads(text)["record"]
        return record

    def calls(self) -> Iterator[dict[str, Any]]:
        """Yield the requests of tasks to Batch and Lambda, also those that Retry repeats."""
        for event in self.history:
            if event["type"] == "TaskScheduled":
                yield json.loads(event["taskScheduledEventDetails"]["parameters"])

    def submissions(self, step: str) -> list[tuple[str, str, str, str]]:
        """Return queue, vCPUs, memory and the attempt in the plan of each job of a step."""
        jobs = [call for call in self.calls() if call.get("Tags", {}).get("step") == step]
        return [(job["JobQueue"], *resources(job), job["Parameters"]["attempt"]) for job in jobs]

    def payloads(self, function: str) -> list[dict[str, Any]]:
        return [call["Payload"] for call in self.calls() if call.get("FunctionName") == function]


def is_entry(event: dict[str, Any], state: str = "") -> bool:
    entry = event["type"].endswith("StateEntered")
    return entry and state in ("", event["stateEnteredEventDetails"]["name"])


def resources(job: dict[str, Any]) -> tuple[str, str]:
    """Return vCPUs and memory, which are the same for Batch and for the tool."""
    required = {item["Type"]: item["Value"] for item in job["ContainerOverrides"]["ResourceRequirements"]}
    parameters = job["Parameters"]["vcpus"], job["Parameters"]["memory"]
    assert (required["VCPU"], required["MEMORY"]) == parameters
    return parameters


@dataclass(frozen=True)
class Engine:
    server: Server
    machines: dict[str, str]  # name -> ARN

    def start(self, name: str, case: str, data: dict[str, Any]) -> str:
        """Start an execution with the answers of one case; return its ARN."""
        return self.server.start(f"{self.machines[name]}#{case}", data)

    def wait(self, execution: str) -> Execution:
        """Wait for the end of an execution; return it with its history."""
        description = self.server.ended(execution)
        pages = self.server.states.get_paginator("get_execution_history").paginate(executionArn=execution)
        return Execution(description, [event for page in pages for event in page["events"]])


def definition(name: str) -> str:
    """Return the definition of a state machine with a literal for each substitution."""
    text = json.dumps(machine(DEFINITIONS[name]))
    return re.sub(r"\$\{(\w+)\}", lambda match: SUBSTITUTIONS[match[1]], text)


def without_pauses(definition: str) -> str:
    """Shorten each pause of Retry to one second: Step Functions Local waits for an hour on some paths."""

    def shorten(item: dict[str, Any]) -> dict[str, Any]:
        pauses = ("BackoffRate", "MaxDelaySeconds", "JitterStrategy")
        others = {name: value for name, value in item.items() if name not in pauses}
        return {**others, "IntervalSeconds": 1} if "IntervalSeconds" in item else item

    return json.dumps(json.loads(definition, object_hook=shorten))


@contextmanager
def embedded(folder: Path) -> Iterator[Engine]:
    words = ["-m", "embedded_aws", "--template", str(TEMPLATE), "--stack", "paths", "--state", str(folder)]
    environment = {
        **os.environ,
        "SFN_MOCK_CONFIG": str(FILE),
        "SFN_WAIT_TIME_SCALE": "0",
    }
    words += ["--executor", "process", "--with-parent", str(parent_pid(*EMBEDDED))]
    process = WarmProcess(words, environment, *EMBEDDED, stderr=2)
    server = Server(process, ready_state(process, folder, "paths"))
    try:
        yield Engine(server, {name: create(server, name, definition(name)) for name in DEFINITIONS})
    finally:
        stop(server)


def connect(endpoint: str) -> Engine:
    """Return Step Functions Local, started with this MockConfigFile.json (docker-compose.yml)."""
    any_key = {"access_key_id": "local", "secret_access_key": "local"}
    state = {"endpoint": endpoint, "region": "us-east-1", **any_key}
    server = Server(None, state)  # type: ignore[arg-type]  # not stopped here
    eventually(lambda: answers(server), endpoint)
    return Engine(server, {name: create(server, name, without_pauses(definition(name))) for name in DEFINITIONS})


def answers(server: Server) -> bool:
    try:
        server.states.list_state_machines()
    except (EndpointConnectionError, ConnectionClosedError):
        return False
    return True


def create(server: Server, name: str, definition: str) -> str:
    """Create a state machine with the name in the mock file, or update the one of an earlier session."""
    states = server.states
    try:
        return str(states.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"])
    except states.exceptions.StateMachineAlreadyExists:
        [arn] = [m["stateMachineArn"] for m in states.list_state_machines()["stateMachines"] if m["name"] == name]
        states.update_state_machine(stateMachineArn=arn, definition=definition)
        return str(arn)
