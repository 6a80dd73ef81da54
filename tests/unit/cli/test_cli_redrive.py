"""`seqdrop redrive` with a queue of moto and fake functions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from seqdrop_cli.errors import CliError
from seqdrop_cli.redrive import redrive
from seqdrop_cli.stack import Stack
from support import cli_aws

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"


class GoneError(Exception):
    """The answer of Lambda for a function that does not exist."""


class Functions:
    """Lambda. The function `failing` puts its event into the queue again, as after its last retry."""

    exceptions = SimpleNamespace(ResourceNotFoundException=GoneError)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.events: list[tuple[str, Any]] = []

    def invoke(self, FunctionName: str, InvocationType: str, Payload: str) -> None:  # noqa: N803  names in boto3
        assert InvocationType == "Event"
        name = FunctionName.removeprefix(LAMBDA)
        if name == "gone":
            raise GoneError
        self.events.append((name, json.loads(Payload)))
        if name == "failing":
            time.sleep(0.01)
            send(self.stack, record(name, json.loads(Payload)))


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as without_queue:
        queue = without_queue.queues.create_queue(QueueName="dead")["QueueUrl"]
        stack = replace(without_queue, outputs={**without_queue.outputs, "DeadLetterQueue": queue})
        vars(stack)["functions"] = Functions(stack)
        yield stack


def record(function: str, event: Any) -> str:
    """The record that Lambda writes of a call that failed all its retries."""
    return json.dumps({"requestContext": {"functionArn": f"{LAMBDA}{function}:$LATEST"}, "requestPayload": event})


def send(stack: Stack, body: str, target: str = "") -> None:
    attributes: Any = {"TARGET_ARN": {"DataType": "String", "StringValue": target}} if target else {}
    stack.queues.send_message(QueueUrl=stack["DeadLetterQueue"], MessageBody=body, MessageAttributes=attributes)


def messages_in_queue(stack: Stack) -> int:
    """Count the messages, the hidden ones too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer: Any = stack.queues.get_queue_attributes(QueueUrl=stack["DeadLetterQueue"], AttributeNames=names)  # type: ignore[arg-type]
    return sum(int(answer["Attributes"][name]) for name in names)


def received(stack: Stack) -> list[tuple[str, Any]]:
    """Return the events that the functions received."""
    functions: Any = stack.functions
    events: list[tuple[str, Any]] = functions.events
    return events


def test_every_event_is_sent_to_its_function_and_deleted(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(23):
        send(stack, record("start_run", {"number": number}))
    send(stack, json.dumps({"detail": 1}), LAMBDA + "record_run")
    redrive(stack)
    expected = [("start_run", {"number": number}) for number in range(23)] + [("record_run", {"detail": 1})]
    assert sorted(received(stack), key=str) == sorted(expected, key=str)
    assert messages_in_queue(stack) == 0
    output = capsys.readouterr().out
    assert output.splitlines() == ["1 event sent to record_run.", "23 events sent to start_run."]


def test_a_message_of_start_run_to_itself_is_sent_to_it(stack: Stack) -> None:
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:seqdrop-pipeline"
    outputs = {**stack.outputs, "PipelineStateMachine": machine, "StartRunFunction": "start"}
    message = {"task": "end_wait", "row": "waiting-1", "ticket": "t", "until": 1.0}
    send(stack, json.dumps(message))
    started = replace(stack, outputs=outputs)
    vars(started)["functions"] = stack.functions
    redrive(started)
    functions: Any = stack.functions
    assert functions.events == [("start", message)]


def test_an_event_that_fails_again_is_sent_once_and_is_in_the_queue_once(stack: Stack) -> None:
    send(stack, record("failing", {"poison": True}))
    time.sleep(0.01)
    redrive(stack)
    assert received(stack) == [("failing", {"poison": True})]
    assert messages_in_queue(stack) == 1


def test_messages_that_cannot_be_sent_stay_in_the_queue_and_are_listed(stack: Stack) -> None:
    send(stack, "not JSON")
    send(stack, "[]")
    send(stack, "{}")
    send(stack, "{}", "arn:aws:logs:us-east-1:123456789012:log-group:events")
    send(stack, record("gone", {}))
    send(stack, record("start_run", {}))
    with pytest.raises(CliError) as raised:
        redrive(stack)
    assert received(stack) == [("start_run", {})]
    assert messages_in_queue(stack) == 5
    lines = str(raised.value).splitlines()
    assert lines[0] == "5 messages in the dead letter queue cannot be sent again:"
    assert sorted(line.split(": ", 1)[1] for line in lines[1:]) == [
        "it is not JSON",
        "it is not an event",
        "it names no Lambda function",
        "it names no Lambda function",
        f"the function {LAMBDA}gone does not exist",
    ]


def test_an_empty_queue_is_reported(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    redrive(stack)
    assert capsys.readouterr().out == "No events were sent.\n"
