"""`seqdrop redrive` on a queue of moto, with functions that take what they are told or are gone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from seqdrop_cli.problem import Problem
from seqdrop_cli.redrive import redrive
from seqdrop_cli.stack import Stack
from support import cli_aws

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"


class GoneError(Exception):
    """As Lambda answers for a function that is not there."""


class Functions:
    """Lambda as far as it is asked; a function called `failing` puts the event back, as its tries would end."""

    exceptions = SimpleNamespace(ResourceNotFoundException=GoneError)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.told: list[tuple[str, Any]] = []

    def invoke(self, FunctionName: str, InvocationType: str, Payload: str) -> None:  # noqa: N803  boto3's names
        assert InvocationType == "Event"
        name = FunctionName.removeprefix(LAMBDA)
        if name == "gone":
            raise GoneError
        self.told.append((name, json.loads(Payload)))
        if name == "failing":
            time.sleep(0.01)
            leave(self.stack, record(name, json.loads(Payload)))


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as made:
        queue = made.session.client("sqs").create_queue(QueueName="dead")["QueueUrl"]
        found = Stack(made.name, {**made.outputs, "DeadLetterQueue": queue}, made.session)
        vars(found)["functions"] = Functions(found)
        yield found


def record(function: str, event: Any) -> str:
    """What Lambda leaves of a call that failed to the end."""
    return json.dumps({"requestContext": {"functionArn": f"{LAMBDA}{function}:$LATEST"}, "requestPayload": event})


def leave(stack: Stack, body: str, target: str = "") -> None:
    about = {"TARGET_ARN": {"DataType": "String", "StringValue": target}} if target else {}
    stack.queues.send_message(QueueUrl=stack["DeadLetterQueue"], MessageBody=body, MessageAttributes=about)


def left(stack: Stack) -> int:
    """Those out of sight too: they come back."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found: Any = stack.queues.get_queue_attributes(QueueUrl=stack["DeadLetterQueue"], AttributeNames=names)  # type: ignore[arg-type]
    return sum(int(found["Attributes"][name]) for name in names)


def told(stack: Stack) -> list[tuple[str, Any]]:
    functions: Any = stack.functions
    found: list[tuple[str, Any]] = functions.told
    return found


def test_every_event_is_told_to_its_function_and_leaves_the_queue(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(23):
        leave(stack, record("start_run", {"number": number}))
    leave(stack, json.dumps({"detail": 1}), LAMBDA + "record_run")
    redrive(stack)
    expected = [("start_run", {"number": number}) for number in range(23)] + [("record_run", {"detail": 1})]
    assert sorted(told(stack), key=str) == sorted(expected, key=str)
    assert left(stack) == 0
    said = capsys.readouterr().out
    assert said.splitlines() == ["1 event sent again to record_run.", "23 events sent again to start_run."]


def test_one_that_fails_again_is_tried_once_and_comes_back_once(stack: Stack) -> None:
    leave(stack, record("failing", {"poison": True}))
    time.sleep(0.01)
    redrive(stack)
    assert told(stack) == [("failing", {"poison": True})]
    assert left(stack) == 1


def test_what_cannot_be_told_to_a_function_stays_and_is_named(stack: Stack) -> None:
    leave(stack, "not JSON")
    leave(stack, "[]")
    leave(stack, "{}")
    leave(stack, "{}", "arn:aws:logs:us-east-1:123456789012:log-group:events")
    leave(stack, record("gone", {}))
    leave(stack, record("start_run", {}))
    with pytest.raises(Problem) as raised:
        redrive(stack)
    assert told(stack) == [("start_run", {})]
    assert left(stack) == 5
    lines = str(raised.value).splitlines()
    assert lines[0] == "5 cannot be sent again and stay in the dead letter queue:"
    assert sorted(line.split(": ", 1)[1] for line in lines[1:]) == [
        "it is no event",
        "it is not JSON",
        "it names no function to tell",
        "it names no function to tell",
        f"there is no function {LAMBDA}gone any more",
    ]


def test_an_empty_queue_is_said(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    redrive(stack)
    assert capsys.readouterr().out == "No event was sent again.\n"
