"""Queues as event sources of functions: polled, in batches, each message deleted once its batch has succeeded.

Wraps LambdaBackend.create_event_source_mapping (awslambda/models.py:2111). moto would invoke the function inside the
caller's SendMessage (Queue.add_message, sqs/models.py:553): without the delay of the message, one message an event, and
a failed batch visible at once.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from moto.awslambda.models import LambdaBackend, lambda_backends
from moto.core.exceptions import JsonRESTError
from moto.sqs.models import sqs_backends

from embedded_aws import aws
from embedded_aws.patches import patch
from embedded_aws.rights import Need, roles

from .lambda_invocations import invoked_as

log = logging.getLogger(__name__)
PAUSE = 0.2  # seconds between two looks into an empty queue; messages become visible without a signal
CONCURRENCY = 5  # batches at a time: Lambda begins with as many
ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")  # that Lambda needs from the role of the function
PARTIAL = "ReportBatchItemFailures"

_create = LambdaBackend.create_event_source_mapping


def _create_polled(self: Any, spec: dict[str, Any]) -> Any:
    queue = _queue(str(spec.get("EventSourceArn", "")))
    if queue:
        function = self.get_function(spec["FunctionName"])
        _check(queue, function)
    mapping = _create(self, spec)
    if queue:
        queue.lambda_event_source_mappings.clear()  # the poller invokes the function, not SendMessage
        threading.Thread(target=_poll, args=(mapping,), name=f"poll-{queue.name}", daemon=True).start()
    return mapping


def _check(queue: Any, function: Any) -> None:
    """Refuse what Lambda refuses: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""
    code, timeout = "InvalidParameterValueException", int(function.timeout)
    if queue.visibility_timeout < timeout:
        visible = f"Queue visibility timeout: {queue.visibility_timeout} seconds"
        raise JsonRESTError(code, f"{visible} is less than Function timeout: {timeout} seconds")
    for action in ACTIONS:
        if roles().denial(function.role, [Need(f"sqs:{action}", queue.queue_arn)]):
            raise JsonRESTError(code, f"The provided execution role does not have permissions to call {action} on SQS")


def _queue(arn: str) -> Any:
    """Return the queue with this ARN; None for another event source."""
    queues = sqs_backends[aws.ACCOUNT][aws.REGION].queues.values()
    return next((queue for queue in queues if queue.queue_arn == arn), None)


def _poll(mapping: Any) -> None:
    """Receive batches and process each in a thread of its own, until the queue or the mapping is deleted."""
    limit = (mapping.scaling_config or {}).get("MaximumConcurrency", CONCURRENCY)
    free = threading.Semaphore(int(limit))
    while (queue := _queue(mapping.event_source_arn)) and _exists(mapping):
        messages = _receive(queue, mapping.batch_size) if mapping.enabled and free.acquire(blocking=False) else None
        if messages:
            threading.Thread(target=_process, args=(mapping, queue, messages, free), daemon=True).start()
            continue
        if messages is not None:
            free.release()
        time.sleep(PAUSE)


def _exists(mapping: Any) -> bool:
    return mapping.uuid in lambda_backends[aws.ACCOUNT][aws.REGION]._event_source_mappings


def _receive(queue: Any, count: int) -> list[Any]:
    backend = sqs_backends[aws.ACCOUNT][aws.REGION]
    messages: list[Any] = backend.receive_message(queue.name, count, 0, queue.visibility_timeout, ["All"])
    return messages


def _process(mapping: Any, queue: Any, messages: list[Any], free: threading.Semaphore) -> None:
    """Invoke the function with a batch and delete what succeeded. The rest is visible after the visibility timeout."""
    try:
        function = lambda_backends[aws.ACCOUNT][aws.REGION].get_function(mapping.function_name)
        event = {"Records": [_record(message, queue) for message in messages]}
        with invoked_as(mapping.function_arn):
            result, failed, _ = function._invoke_lambda(event=event)
        failures = {message.id for message in messages} if failed else _failures(mapping, messages, result)
        for message in messages:
            if message.id not in failures:
                sqs_backends[aws.ACCOUNT][aws.REGION].delete_message(queue.name, message.receipt_handle)
    except Exception:  # the messages are visible again after the visibility timeout
        log.exception("a batch of %s failed", queue.name)
    finally:
        free.release()


def _failures(mapping: Any, messages: list[Any], result: str) -> Iterable[str]:
    """Return the ids of the messages that a function reports as failed: all if its report is not valid.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    if PARTIAL not in (mapping.function_response_types or []):
        return set()
    ids = {message.id for message in messages}
    try:
        answer = json.loads(result)
        failures = {item["itemIdentifier"] for item in (answer or {}).get("batchItemFailures") or []}
    except (AttributeError, KeyError, TypeError, ValueError):
        return ids
    return failures if failures.issubset(ids) else ids


def _record(message: Any, queue: Any) -> dict[str, Any]:
    """Return a message as functions get it: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html."""
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.approximate_receive_count),
            "SentTimestamp": str(message.sent_timestamp),
            "SenderId": message.sender_id,
            "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
        },
        "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.queue_arn,
        "awsRegion": queue.region,
    }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    kinds = {"DataType": "dataType", "StringValue": "stringValue", "BinaryValue": "binaryValue"}
    return {kinds[name]: text for name, text in value.items() if name in kinds}


def install() -> None:
    """Patch moto."""
    patch(LambdaBackend, "create_event_source_mapping", _create_polled, source="f850c996")
