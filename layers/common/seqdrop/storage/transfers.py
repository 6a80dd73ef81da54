"""Transfer files to and from S3 in parts, and stop at once when the job is stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture
    from s3transfer.manager import TransferManager

START_TIMEOUT = 5.0  # seconds to wait for the answer to CreateMultipartUpload


class IncompleteError(Exception):
    """Parts of an object did not arrive, however often they were requested."""


@dataclass
class Settings:
    """How files are transferred."""

    multipart_threshold: int = 8 << 20  # bytes; a smaller file is transferred in one part
    multipart_chunksize: int = 32 << 20  # bytes
    max_concurrency: int = 10  # parts at a time


def transfer(client: S3Client, settings: Settings, begin: Callable[[TransferManager], TransferFuture]) -> None:
    """Run one transfer to its end; raise the error that S3 answered, or IncompleteError.

    When it is interrupted, `upload_file` of boto3 waits for the parts in progress. On a slow connection that takes
    longer than a job has between SIGTERM and SIGKILL.
    """
    from s3transfer.exceptions import RetriesExceededError  # noqa: PLC0415  functions transfer no files

    manager = _manager(client, settings)
    future = begin(manager)
    try:
        future.result()
    except RetriesExceededError as error:
        raise IncompleteError(str(error)) from error
    finally:
        if future.done():
            manager.shutdown()
        else:
            future.cancel()


def _manager(client: S3Client, settings: Settings) -> TransferManager:
    from s3transfer.manager import TransferConfig, TransferManager  # noqa: PLC0415  functions transfer no files

    config = TransferConfig(
        multipart_threshold=settings.multipart_threshold,
        multipart_chunksize=settings.multipart_chunksize,
        max_request_concurrency=settings.max_concurrency,
        max_io_queue_size=100,  # blocks of 256 KiB that wait for the disk
    )
    return TransferManager(client, config)


class Reporter:
    """Report the progress of a transfer to a function: a subscriber of s3transfer."""

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
