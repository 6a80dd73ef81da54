"""Files to and from S3 in parts, given up at once when the job is told to stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture
    from s3transfer.manager import TransferManager

PATIENCE = 5.0  # seconds for the answer to an upload that is just being begun


def transfer(client: S3Client, config: TransferConfig, begin: Callable[[TransferManager], TransferFuture]) -> None:
    """Run one transfer to its end; raises what S3 answered.

    boto3's own `upload_file` waits, whatever happens, for the parts under way: on a slow line longer than a job has
    between SIGTERM and SIGKILL.
    """
    manager = create_transfer_manager(client, config)
    future = begin(manager)
    try:
        future.result()
    finally:
        if future.done():
            manager.shutdown()
        else:
            future.cancel()


class Uploads:
    """The multipart uploads of a client that are begun and not over: S3 keeps, and bills, their parts until then."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, str]] = {}  # by upload id: bucket and key
        self._beginning = 0
        self._closed = False

    def watch(self, client: S3Client) -> None:
        on = client.meta.events.register
        on("before-call.s3.CreateMultipartUpload", self._begin)
        on("after-call.s3.CreateMultipartUpload", self._begun)
        on("after-call-error.s3.CreateMultipartUpload", self._not_begun)
        for end in ("CompleteMultipartUpload", "AbortMultipartUpload"):
            on(f"before-parameter-build.s3.{end}", self._remember)
            on(f"after-call.s3.{end}", self._over)

    def abort(self, client: S3Client) -> None:
        """Abort all of them, and begin no more."""
        self._closed = True
        deadline = time.monotonic() + PATIENCE
        while self._beginning and time.monotonic() < deadline:
            time.sleep(0.02)
        for upload_id, (bucket, key) in list(self._open.items()):
            with contextlib.suppress(BotoCoreError, ClientError):
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    def _begin(self, **_: Any) -> None:
        if self._closed:
            raise RuntimeError("the job is ending")
        self._beginning += 1

    def _begun(self, parsed: dict[str, Any], **_: Any) -> None:
        if "UploadId" in parsed:
            self._open[parsed["UploadId"]] = parsed["Bucket"], parsed["Key"]
        self._beginning -= 1

    def _not_begun(self, **_: Any) -> None:
        self._beginning -= 1

    def _remember(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["upload_id"] = params["UploadId"]

    def _over(self, http_response: Any, context: dict[str, Any], **_: Any) -> None:
        if http_response.status_code < 300:
            self._open.pop(context["upload_id"], None)
