"""Notifications of S3: sent after the answer, once for a multipart upload, with the fields of AWS.

Replaces moto.s3.notifications.send_event (s3/notifications.py:75-206), which delivers inside the caller's request,
before the object has its metadata; a completed multipart upload also sends a Put (s3/models.py:2368, 2752).
"""

import itertools
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from moto.s3 import notifications
from moto.s3.responses import S3Response

from embedded_aws import aws
from embedded_aws.patches import patch, require

from .delivery import enqueue
from .events_bus import emit
from .events_targets import deliver

PUT, MULTIPART = "s3:ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload"
REASONS = {
    "Put": "PutObject",
    "Post": "POST Object",
    "Copy": "CopyObject",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
    "Delete": "DeleteObject",
}
Notification = tuple[str, Any, Any]  # event name, bucket, key

_request = threading.local()
_sequence = itertools.count(time.time_ns())
_respond = S3Response.key_response


def _hold(_: str, event_name: Any, bucket: Any, key: Any) -> None:
    notification = (str(event_name.value), bucket, key)
    queue = getattr(_request, "pending", None)
    if queue is None:
        enqueue(_notify, notification)
    else:
        queue.append(notification)


def _key_response(self: Any, *args: Any, **kwargs: Any) -> Any:
    _request.pending = []
    try:
        return _respond(self, *args, **kwargs)
    finally:
        pending, _request.pending = _request.pending, None
        multipart = any(name == MULTIPART for name, _, _ in pending)
        for notification in pending:
            if not (multipart and notification[0] == PUT):
                enqueue(_notify, notification)


def _notify(notification: Notification) -> None:
    name, bucket, key = notification
    configuration = bucket.notification_configuration
    if configuration is None or key is None:
        return
    for target in [*configuration.cloud_function, *configuration.queue, *configuration.topic]:
        if target.matches(name, key.name):
            deliver(bucket.arn, {"Arn": target.arn}, _record(notification, target.id))
    if configuration.event_bridge is not None:
        emit("aws.s3", notifications._detail_type(name), [bucket.arn], _detail(notification))


def _record(notification: Notification, configuration: str) -> dict[str, Any]:
    """Return the event of a bucket notification.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    name, bucket, key = notification
    s3_object = {
        "key": quote_plus(key.name, safe="/"),
        "size": key.size,
        "eTag": key.etag.strip('"'),
        **_version("versionId", key),
        "sequencer": f"{next(_sequence):018X}",
    }
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": aws.REGION,
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "eventName": name.removeprefix("s3:"),
        "userIdentity": {"principalId": aws.ACCOUNT},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper(), "x-amz-id-2": uuid.uuid4().hex},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration,
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": aws.ACCOUNT}, "arn": bucket.arn},
            "object": s3_object,
        },
    }
    return {"Records": [record]}


def _detail(notification: Notification) -> dict[str, Any]:
    """Return the detail of an event of EventBridge, where the key is not encoded.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    name, bucket, key = notification
    kind = name.rpartition(":")[2]
    return {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {
            "key": key.name,
            "size": key.size,
            "etag": key.etag.strip('"'),
            **_version("version-id", key),
            "sequencer": f"{next(_sequence):018X}",
        },
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": aws.ACCOUNT,
        "source-ip-address": "127.0.0.1",
        "reason": REASONS.get(kind, kind),
        **({"deletion-type": "Permanently Deleted"} if kind == "Delete" else {}),
    }


def _version(name: str, key: Any) -> dict[str, str]:
    return {name: key.version_id} if key.version_id != "null" else {}


def install() -> None:
    """Patch moto."""
    require(notifications, "_detail_type", source="bee0f0ae")
    patch(notifications, "send_event", _hold, source="681f71c4")
    patch(S3Response, "key_response", _key_response, source="f7b0c805")
