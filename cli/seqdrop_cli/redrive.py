"""`seqdrop redrive`: send the events in the dead letter queue to their functions again."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

VISIBILITY_TIMEOUT = 600  # seconds for which SQS hides a received message, while this command works
MAX_MESSAGES = 10  # of one request, a limit of SQS
_FUNCTION = re.compile(r"arn:[^:]+:lambda:[^:]+:[^:]+:function:[^:]+")  # without version or alias
Message = Mapping[str, Any]


class UnreadableError(Exception):
    """A message cannot be sent to a function."""


def redrive(stack: Stack) -> dict[str, int]:
    """Empty the dead letter queue; return the number of events by function.

    Messages that cannot be sent again stay in the queue; raise CliError that lists them.
    """
    events: set[tuple[str, str]] = set()
    counts: Counter[str] = Counter()  # function -> events
    remaining: list[tuple[Message, str]] = []
    try:
        for message in _receive_all(stack):
            try:
                event = _event(stack, message)
                if event in events:  # it failed again and came back while this command worked
                    remaining.append((message, ""))
                    continue
                events.add(event)
                counts[_send(stack, message, *event)] += 1
            except UnreadableError as error:
                remaining.append((message, str(error)))
    finally:
        for message, _ in remaining:  # at the end, or this command would receive them again
            _release(stack, message)
    _report(counts, [f"\n  {message['MessageId']}: {reason}" for message, reason in remaining if reason])
    return dict(counts)


def _send(stack: Stack, message: Message, function: str, event: str) -> str:
    """Send an event and delete its message; return the name of the function; raise UnreadableError.

    The call is asynchronous, as the first one was: if all its retries fail, the event is in the queue again.
    """
    try:
        stack.functions.invoke(FunctionName=function, InvocationType="Event", Payload=event)
    except stack.functions.exceptions.ResourceNotFoundException:
        raise UnreadableError(f"the function {function} does not exist") from None
    stack.queues.delete_message(QueueUrl=stack["DeadLetterQueue"], ReceiptHandle=message["ReceiptHandle"])
    return function.split(":")[6]


def _report(counts: Mapping[str, int], unreadable: list[str]) -> None:
    for function, count in sorted(counts.items()):
        say(f"{count} {'event' if count == 1 else 'events'} sent to {function}.", style="green")
    if not counts:
        say("No events were sent.")
    if unreadable:
        messages = "1 message" if len(unreadable) == 1 else f"{len(unreadable)} messages"
        raise CliError(f"{messages} in the dead letter queue cannot be sent again:{''.join(unreadable)}")


def _receive_all(stack: Stack) -> Iterator[Message]:
    while messages := _receive(stack):
        yield from messages


def _receive(stack: Stack) -> list[Any]:
    answer = stack.queues.receive_message(
        QueueUrl=stack["DeadLetterQueue"],
        MaxNumberOfMessages=MAX_MESSAGES,
        VisibilityTimeout=VISIBILITY_TIMEOUT,
        WaitTimeSeconds=1,  # queries all servers of SQS; without it, messages may be missed
        MessageAttributeNames=["All"],
    )
    return list(answer.get("Messages", []))


def _release(stack: Stack, message: Message) -> None:
    """Make a received message visible again."""
    receipt = message["ReceiptHandle"]
    stack.queues.change_message_visibility(
        QueueUrl=stack["DeadLetterQueue"], ReceiptHandle=receipt, VisibilityTimeout=0
    )


def _event(stack: Stack, message: Message) -> tuple[str, str]:
    """Return the ARN of the function and the event for it; raise UnreadableError.

    A message of start_run to itself has a task. Lambda writes a record of the failed call; EventBridge writes the event
    itself, with its target as an attribute:
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
        case {"task": _}:
            _, partition, _, region, account, *_ = stack["PipelineStateMachine"].split(":")
            function = f"arn:{partition}:lambda:{region}:{account}:function:{stack['StartRunFunction']}"
            event = body
        case dict():
            function = message.get("MessageAttributes", {}).get("TARGET_ARN", {}).get("StringValue", "")
            event = body
        case _:
            raise UnreadableError("it is not an event")
    arn = _FUNCTION.match(function)
    if arn is None:
        raise UnreadableError("it names no Lambda function")
    return arn[0], json.dumps(event)
