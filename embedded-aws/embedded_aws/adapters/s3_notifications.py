"""S3's events: after the answer, once a multipart upload, with the fields AWS sends.

Replaces moto.s3.notifications.send_event (s3/notifications.py:75-206), which delivers inside the caller's request,
before the object has its metadata; a completed multipart upload tells of a Put too (s3/models.py:2368, 2752).
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

from embedded_aws import place
from embedded_aws.patches import patch, require

from .delivery import later
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
Notice = tuple[str, Any, Any]  # event name, bucket, key

_request = threading.local()
_sequence = itertools.count(time.time_ns())
_respond = S3Response.key_response


def _hold(_: str, event_name: Any, bucket: Any, key: Any) -> None:
    notice = (str(event_name.value), bucket, key)
    held = getattr(_request, "notices", None)
    if held is None:
        later(_notify, notice)
    else:
        held.append(notice)


def _key_response(self: Any, *args: Any, **kwargs: Any) -> Any:
    _request.notices = []
    try:
        return _respond(self, *args, **kwargs)
    finally:
        notices, _request.notices = _request.notices, None
        whole = any(name == MULTIPART for name, _, _ in notices)
        for notice in notices:
            if not (whole and notice[0] == PUT):
                later(_notify, notice)


def _notify(notice: Notice) -> None:
    name, bucket, key = notice
    wanted = bucket.notification_configuration
    if wanted is None or key is None:
        return
    for configured in [*wanted.cloud_function, *wanted.queue, *wanted.topic]:
        if configured.matches(name, key.name):
            deliver(bucket.arn, {"Arn": configured.arn}, _record(notice, configured.id))
    if wanted.event_bridge is not None:
        emit("aws.s3", notifications._detail_type(name), [bucket.arn], _detail(notice))


def _record(notice: Notice, configuration: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    name, bucket, key = notice
    described = {
        "key": quote_plus(key.name, safe="/"),
        "size": key.size,
        "eTag": key.etag.strip('"'),
        **_version("versionId", key),
        "sequencer": f"{next(_sequence):018X}",
    }
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": place.REGION,
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "eventName": name.removeprefix("s3:"),
        "userIdentity": {"principalId": place.ACCOUNT},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper(), "x-amz-id-2": uuid.uuid4().hex},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration,
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": place.ACCOUNT}, "arn": bucket.arn},
            "object": described,
        },
    }
    return {"Records": [record]}


def _detail(notice: Notice) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html: here the key is not encoded."""
    name, bucket, key = notice
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
        "requester": place.ACCOUNT,
        "source-ip-address": "127.0.0.1",
        "reason": REASONS.get(kind, kind),
        **({"deletion-type": "Permanently Deleted"} if kind == "Delete" else {}),
    }


def _version(name: str, key: Any) -> dict[str, str]:
    return {name: key.version_id} if key.version_id != "null" else {}


def install() -> None:
    require(notifications, "_detail_type", source="bee0f0ae")
    patch(notifications, "send_event", _hold, source="681f71c4")
    patch(S3Response, "key_response", _key_response, source="f7b0c805")
