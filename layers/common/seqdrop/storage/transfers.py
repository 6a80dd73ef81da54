"""Transfer files to and from S3 in parts, and stop at once when the job is stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.subscribers import BaseSubscriber

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture
    from s3transfer.manager import TransferManager

START_TIMEOUT = 5.0  # seconds to wait for the answer to CreateMultipartUpload


def transfer(client: S3Client, config: TransferConfig, begin: Callable[[TransferManager], TransferFuture]) -> None:
    """Run one transfer to its end; raise the error that S3 answered.

    When it is interrupted, `upload_file` of boto3 waits for the parts in progress. On a slow connection that takes
    longer than a job has between SIGTERM and SIGKILL.
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


class Reporter(BaseSubscriber):
    """Report the progress of a transfer to a function."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report

    def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:  # noqa: ARG002  s3transfer's interface
        """Report the number of bytes just transferred."""
        self._report(bytes_transferred)


class Uploads:
    """The multipart uploads of a client in progress: S3 stores, and bills, their parts until they are aborted."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, str]] = {}  # upload id -> bucket and key
        self._starting = 0
        self._closed = False

    def watch(self, client: S3Client) -> None:
        """Record every multipart upload that `client` starts or ends."""
        on = client.meta.events.register
        on("before-call.s3.CreateMultipartUpload", self._before_start)
        on("after-call.s3.CreateMultipartUpload", self._after_start)
        on("after-call-error.s3.CreateMultipartUpload", self._after_failed_start)
        for end in ("CompleteMultipartUpload", "AbortMultipartUpload"):
            on(f"before-parameter-build.s3.{end}", self._before_end)
            on(f"after-call.s3.{end}", self._after_end)

    def abort(self, client: S3Client) -> None:
        """Abort all uploads in progress and refuse to start others."""
        self._closed = True
        deadline = time.monotonic() + START_TIMEOUT
        while self._starting and time.monotonic() < deadline:
            time.sleep(0.02)
        for upload_id, (bucket, key) in list(self._open.items()):
            with contextlib.suppress(BotoCoreError, ClientError):
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    def _before_start(self, **_: Any) -> None:
        if self._closed:
            raise RuntimeError("the job is ending")
        self._starting += 1

    def _after_start(self, parsed: dict[str, Any], **_: Any) -> None:
        if "UploadId" in parsed:
            self._open[parsed["UploadId"]] = parsed["Bucket"], parsed["Key"]
        self._starting -= 1

    def _after_failed_start(self, **_: Any) -> None:
        self._starting -= 1

    def _before_end(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["upload_id"] = params["UploadId"]

    def _after_end(self, http_response: Any, context: dict[str, Any], **_: Any) -> None:
        if http_response.status_code < 300:
            self._open.pop(context["upload_id"], None)
