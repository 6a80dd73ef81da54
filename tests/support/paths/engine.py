"""The machines in an engine that reads MockConfigFile.json: the embedded AWS, or Step Functions Local at a URL."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from embedded_server import TEMPLATE, Server, eventually, stop
from support.paths.make import FILE, PIPELINE_MACHINE, PREPARATION_MACHINE, SUBSTITUTIONS
from support.pipeline_parts import ROOT, machine

DEFINITIONS = {PIPELINE_MACHINE: "pipeline", PREPARATION_MACHINE: "prepare_reference"}
ROLE = "arn:aws:iam::123456789012:role/DummyRole"
Names = list[str]


@dataclass(frozen=True)
class Walk:
    """One execution from its end: how it ended, and what its history says it did."""

    ended: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def ending(self) -> tuple[str, ...]:
        """The status, and of a failed execution its error and the sentence that its cause begins with."""
        said = [self.ended[word] for word in ("status", "error", "cause") if self.ended.get(word) is not None]
        return tuple(text.split("\n", maxsplit=1)[0] for text in said)

    def entered(self, states: dict[str, Any]) -> Names:
        """Which of these states were entered, in order."""
        entered = [event["stateEnteredEventDetails"]["name"] for event in self.history if is_entry(event)]
        return [name for name in entered if name in states]

    @property
    def record(self) -> dict[str, str]:
        """What the machine kept of record_run's answer."""
        [given] = [e["stateEnteredEventDetails"]["input"] for e in self.history if is_entry(e, "RunComplete")]
        kept: dict[str, str] = json.loads(given)["record"]
        return kept

    def calls(self) -> Iterator[dict[str, Any]]:
        """What tasks asked of Batch and Lambda, tries of Retry each by itself."""
        for event in self.history:
            if event["type"] == "TaskScheduled":
                yield json.loads(event["taskScheduledEventDetails"]["parameters"])

    def submitted(self, step: str) -> list[tuple[str, str, str, str]]:
        """Queue, vCPUs, memory and the plan's attempt of each job of a step."""
        jobs = [call for call in self.calls() if call.get("Tags", {}).get("step") == step]
        return [(job["JobQueue"], *resources(job), job["Parameters"]["attempt"]) for job in jobs]

    def payloads(self, function: str) -> list[dict[str, Any]]:
        return [call["Payload"] for call in self.calls() if call.get("FunctionName") == function]


def is_entry(event: dict[str, Any], state: str = "") -> bool:
    entry = event["type"].endswith("StateEntered")
    return entry and state in ("", event["stateEnteredEventDetails"]["name"])


def resources(job: dict[str, Any]) -> tuple[str, str]:
    """vCPUs and memory, which Batch and the tool are told alike."""
    given = {item["Type"]: item["Value"] for item in job["ContainerOverrides"]["ResourceRequirements"]}
    told = job["Parameters"]["vcpus"], job["Parameters"]["memory"]
    assert (given["VCPU"], given["MEMORY"]) == told
    return told


@dataclass(frozen=True)
class Engine:
    server: Server
    machines: dict[str, str]  # name -> ARN

    def start(self, name: str, case: str, given: dict[str, Any]) -> str:
        return self.server.start(f"{self.machines[name]}#{case}", given)

    def walk(self, execution: str) -> Walk:
        ended = self.server.ended(execution)
        pages = self.server.states.get_paginator("get_execution_history").paginate(executionArn=execution)
        return Walk(ended, [event for page in pages for event in page["events"]])


def definition(name: str) -> str:
    """The committed machine with a literal for each substitution."""
    text = json.dumps(machine(DEFINITIONS[name]))
    return re.sub(r"\$\{(\w+)\}", lambda found: SUBSTITUTIONS[found[1]], text)


def without_pauses(definition: str) -> str:
    """Step Functions Local sleeps out the pauses of Retry, an hour of them on some paths, so they become one second."""

    def shorten(item: dict[str, Any]) -> dict[str, Any]:
        pauses = ("BackoffRate", "MaxDelaySeconds", "JitterStrategy")
        kept = {name: value for name, value in item.items() if name not in pauses}
        return {**kept, "IntervalSeconds": 1} if "IntervalSeconds" in item else item

    return json.dumps(json.loads(definition, object_hook=shorten))


@contextmanager
def embedded(folder: Path) -> Iterator[Engine]:
    words = ["-m", "embedded_aws", "--template", str(TEMPLATE), "--stack", "paths", "--state", str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests/contract"),
        "SFN_MOCK_CONFIG": str(FILE),
        "SFN_WAIT_TIME_SCALE": "0",
    }
    words = [sys.executable, *words, "--executor", "process", "--with-parent", str(os.getpid())]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    server = Server(process, json.loads(process.stdout.readline()))
    try:
        yield Engine(server, {name: create(server, name, definition(name)) for name in DEFINITIONS})
    finally:
        stop(server)


def at(endpoint: str) -> Engine:
    """Step Functions Local, started with this MockConfigFile.json (docker-compose.yml)."""
    server = Server(None, {"endpoint": endpoint, "region": "us-east-1"})  # type: ignore[arg-type]  # not ours to stop
    eventually(lambda: answers(server), endpoint)
    return Engine(server, {name: create(server, name, without_pauses(definition(name))) for name in DEFINITIONS})


def answers(server: Server) -> bool:
    try:
        server.states.list_state_machines()
    except (EndpointConnectionError, ConnectionClosedError):
        return False
    return True


def create(server: Server, name: str, definition: str) -> str:
    """A machine of the name in the mock file; one that an earlier session left there is brought up to date."""
    states = server.states
    try:
        return str(states.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"])
    except states.exceptions.StateMachineAlreadyExists:
        [arn] = [m["stateMachineArn"] for m in states.list_state_machines()["stateMachines"] if m["name"] == name]
        states.update_state_machine(stateMachineArn=arn, definition=definition)
        return str(arn)
