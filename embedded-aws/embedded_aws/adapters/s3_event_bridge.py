"""Return EventBridgeConfiguration with the notifications of a bucket, as S3 does; moto accepts it and never returns it.

Wraps S3Response.get_bucket_notification (s3/responses.py:1358).
"""

from typing import Any

from moto.core.responses import ActionResult
from moto.s3.responses import S3Response

from embedded_aws.patches import patch


def install() -> None:
    """Patch moto."""
    original = S3Response.get_bucket_notification

    def get_bucket_notification(self: Any) -> Any:
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if configuration is None or configuration.event_bridge is None:
            return original(self)
        serialized = self.serialized
        self.serialized = lambda answer: serialized(_with_bridge(answer))
        return original(self)

    patch(S3Response, "get_bucket_notification", get_bucket_notification, source="de596c69")


def _with_bridge(answer: ActionResult) -> ActionResult:
    result: Any = answer.result
    return ActionResult({**result, "EventBridgeConfiguration": {}})
