"""Asynchronous invocation: answered at once, retried, and reported to the destination of the function.

Wraps LambdaFunction.invoke (awslambda/models.py:1143), which runs the function inside the caller's request.
"""

import json
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.awslambda.models import LambdaFunction

from embedded_aws.patches import patch
from embedded_aws.rights import Need, roles

from .events_targets import deliver, send_to_queue
from .lambda_invocations import FUNCTION_PARTS, invoked_arn, invoked_as

RETRIES = 2
PAUSE = 0.2  # seconds before the first retry; AWS waits a minute
# Service of a destination -> the action that the role of the function needs.
SENDING = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
}

_invoke = LambdaFunction.invoke
_init = LambdaFunction.__init__


def _dispatch(self: Any, body: Any, request_headers: Any, response_headers: dict[str, str]) -> Any:
    # The headers of the HTTP layer ignore case; the dict of an internal caller does not.
    headers = {name.lower(): value for name, value in dict(request_headers).items()}
    if headers.get("x-amz-invocation-type") != "Event":
        return _invoke(self, body, request_headers, response_headers)
    # In a thread of its own: a slow function must not delay deliveries.
    threading.Thread(target=_run, args=(self, body, invoked_arn(self)), daemon=True).start()
    return b""


def _run(function: Any, body: Any, arn: str) -> None:
    config = function.event_invoke_config[-1].config if function.event_invoke_config else {}
    retries = int(config.get("MaximumRetryAttempts", RETRIES))
    for attempt in range(retries + 1):
        time.sleep(PAUSE * 2 ** (attempt - 1) if attempt else 0)
        with invoked_as(arn):
            result, failed, _ = function._invoke_lambda(event=json.loads(body) if body else {})
        if not failed:
            break
    _report(function, arn, config, json.loads(body) if body else {}, json.loads(result), failed, attempt + 1)


def _report(function: Any, arn: str, config: dict[str, Any], event: Any, result: Any, failed: bool, count: int) -> None:
    destinations = config.get("DestinationConfig", {})
    destination = destinations.get("OnFailure" if failed else "OnSuccess", {}).get("Destination")
    if destination and _may_send(function, destination):
        deliver(function.function_arn, {"Arn": destination}, _record(function, arn, event, result, failed, count))
    dead_letters = function.dead_letter_config if failed else None
    if dead_letters and ":sqs:" in dead_letters and _may_send(function, dead_letters):
        attributes = {"ERROR_CODE": "200", "ERROR_MESSAGE": str(result.get("errorMessage", ""))[:1024]}
        send_to_queue(dead_letters, json.dumps(event), attributes)


def _may_send(function: Any, destination: str) -> bool:
    """Return whether the role of the function allows to send to a destination; AWS drops the record if not."""
    action = SENDING.get(destination.split(":")[2])
    return action is None or not roles().denial(function.role, [Need(action, destination)])


def _record(function: Any, arn: str, event: Any, result: Any, failed: bool, count: int) -> dict[str, Any]:
    """Return the record of an invocation.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": arn if arn.count(":") >= FUNCTION_PARTS else f"{arn}:$LATEST",
            "condition": "RetriesExhausted" if failed else "Success",
            "approximateInvokeCount": count,
        },
        "requestPayload": event,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": str(function.version),
            **({"functionError": "Unhandled"} if failed else {}),
        },
        "responsePayload": result,
    }


def _init_with_dead_letters(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
    _init(self, account_id, spec, *args, **kwargs)
    self.dead_letter_config = spec.get("DeadLetterConfig", {}).get("TargetArn")


def install() -> None:
    """Patch moto."""
    patch(LambdaFunction, "invoke", _dispatch, source="18899cd1")
    patch(LambdaFunction, "__init__", _init_with_dead_letters, source="609319d4")
