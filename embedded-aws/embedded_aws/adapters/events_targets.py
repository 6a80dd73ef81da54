"""Deliver an event to a target, with retries; then send it to the target's dead-letter queue.

moto delivers to SQS, logs and buses; other targets answer 500 (events/models.py:146-202).
"""

import json
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.events.models import events_backends

from embedded_aws import aws

from .events_inputs import target_input

log = logging.getLogger(__name__)
ATTEMPTS = 3  # EventBridge retries for a day; a local target exists or does not
PAUSE = 0.3  # seconds before the second attempt

Target = dict[str, Any]


class UnsupportedTargetError(Exception):
    """The embedded AWS does not deliver to this type of target."""


def deliver(rule: str, target: Target, event: dict[str, Any]) -> None:
    """Deliver an event; `rule` is the ARN of its rule, for the dead-letter queue."""
    for attempt in range(ATTEMPTS):
        try:
            _send(target, event)
            return
        except (BotoCoreError, ClientError, UnsupportedTargetError) as error:
            failure = error
        time.sleep(PAUSE * 2**attempt)
    _give_up(rule, target, event, failure)


def _send(target: Target, event: dict[str, Any]) -> None:
    service = target["Arn"].split(":")[2]
    if service == "events":
        _forward(target["Arn"], event)
        return
    if service not in SENDERS:
        raise UnsupportedTargetError(f"no delivery to {target['Arn']}")
    body = target_input(target, event)
    SENDERS[service](target, body if isinstance(body, str) and service in ("sns", "sqs") else json.dumps(body))


def _invoke(target: Target, body: str) -> None:
    aws.client("lambda").invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=body)


def _start(target: Target, body: str) -> None:
    aws.client("stepfunctions").start_execution(stateMachineArn=target["Arn"], name=str(uuid.uuid4()), input=body)


def _publish(target: Target, body: str) -> None:
    aws.client("sns").publish(TopicArn=target["Arn"], Message=body)


def _enqueue(target: Target, body: str) -> None:
    send_to_queue(target["Arn"], body, {}, target.get("SqsParameters", {}).get("MessageGroupId"))


SENDERS: dict[str, Callable[[Target, str], None]] = {
    "lambda": _invoke,
    "states": _start,
    "sns": _publish,
    "sqs": _enqueue,
}


def send_to_queue(arn: str, body: str, attributes: dict[str, str], group: str | None = None) -> None:
    """Send a message with text attributes; omit the empty ones."""
    sqs = aws.client("sqs")
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName=arn.rsplit(":", maxsplit=1)[-1])["QueueUrl"],
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
        },
        **({"MessageGroupId": group} if group else {}),
    )


def _forward(arn: str, event: dict[str, Any]) -> None:
    """Send an event unchanged to the rules of another bus."""
    bus = events_backends[aws.ACCOUNT][aws.REGION].event_buses[arn.rpartition("/")[2]]
    for rule in list(bus.rules.values()):
        rule.send_to_targets(event)


def _give_up(rule: str, target: Target, event: dict[str, Any], failure: Exception) -> None:
    log.warning("could not deliver to %s: %s", target["Arn"], failure)
    if queue := target.get("DeadLetterConfig", {}).get("Arn"):
        code = failure.response["Error"]["Code"] if isinstance(failure, ClientError) else type(failure).__name__
        attributes = {"RULE_ARN": rule, "TARGET_ARN": target["Arn"], "ERROR_CODE": code, "ERROR_MESSAGE": str(failure)}
        send_to_queue(queue, json.dumps(event), attributes)
