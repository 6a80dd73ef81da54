"""`seqdrop redrive`: what could not be handled is told to its function once more."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

HIDDEN = 600  # seconds a message stays out of sight while this command works
MOST = 10  # messages at once: as many as SQS gives
_FUNCTION = re.compile(r"arn:[^:]+:lambda:[^:]+:[^:]+:function:[^:]+")  # without version or alias
Message = Mapping[str, Any]


class UnreadableError(Exception):
    """What cannot be told to any function, and why."""


def redrive(stack: Stack) -> None:
    """Empty the dead letter queue. What cannot be sent again stays in it; raises CliError that names it."""
    told: set[tuple[str, str]] = set()
    sent: Counter[str] = Counter()
    stay: list[tuple[Message, str]] = []
    try:
        for message in _all_received(stack):
            try:
                event = _event_of(message)
                if event in told:  # it came back meanwhile: it failed again
                    stay.append((message, ""))
                    continue
                told.add(event)
                sent[_sent_again(stack, message, *event)] += 1
            except UnreadableError as error:
                stay.append((message, str(error)))
    finally:
        for message, _ in stay:  # only now, or this command would get them again
            _show_again(stack, message)
    _tell(sent, [f"\n  {message['MessageId']}: {why}" for message, why in stay if why])


def _sent_again(stack: Stack, message: Message, function: str, event: str) -> str:
    """The name of the function that was told; raises UnreadableError.

    Asynchronously, as it first came: if it fails again, its tries end in the queue again.
    """
    try:
        stack.functions.invoke(FunctionName=function, InvocationType="Event", Payload=event)
    except stack.functions.exceptions.ResourceNotFoundException:
        raise UnreadableError(f"there is no function {function} any more") from None
    stack.queues.delete_message(QueueUrl=stack["DeadLetterQueue"], ReceiptHandle=message["ReceiptHandle"])
    return function.split(":")[6]


def _tell(sent: Mapping[str, int], unreadable: list[str]) -> None:
    for function, number in sorted(sent.items()):
        say(f"{number} {'event' if number == 1 else 'events'} sent again to {function}.", style="green")
    if not sent:
        say("No event was sent again.")
    if unreadable:
        raise CliError(f"{len(unreadable)} cannot be sent again and stay in the dead letter queue:{''.join(unreadable)}")


def _all_received(stack: Stack) -> Iterator[Message]:
    while messages := _received(stack):
        yield from messages


def _received(stack: Stack) -> list[Any]:
    answer = stack.queues.receive_message(
        QueueUrl=stack["DeadLetterQueue"],
        MaxNumberOfMessages=MOST,
        VisibilityTimeout=HIDDEN,
        WaitTimeSeconds=1,  # asks all of SQS's servers; without, it may miss some
        MessageAttributeNames=["All"],
    )
    return list(answer.get("Messages", []))


def _show_again(stack: Stack, message: Message) -> None:
    receipt = message["ReceiptHandle"]
    stack.queues.change_message_visibility(
        QueueUrl=stack["DeadLetterQueue"], ReceiptHandle=receipt, VisibilityTimeout=0
    )


def _event_of(message: Message) -> tuple[str, str]:
    """The ARN of the function and what to tell it; raises UnreadableError.

    Lambda leaves a record of the failed call, EventBridge the event itself with its target beside it:
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    try:
        body = json.loads(message["Body"])
    except ValueError:
        raise UnreadableError("it is not JSON") from None
    match body:
        case {"requestPayload": event, "requestContext": {"functionArn": str(function)}}:
            pass
        case dict():
            function = message.get("MessageAttributes", {}).get("TARGET_ARN", {}).get("StringValue", "")
            event = body
        case _:
            raise UnreadableError("it is no event")
    found = _FUNCTION.match(function)
    if found is None:
        raise UnreadableError("it names no function to tell")
    return found[0], json.dumps(event)
