"""Transfer files to and from S3 in parts, several at a time, and compute their checksum on the way."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from seqdrop import signals
from seqdrop.storage import checksums

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_SIZE = 16 << 20  # bytes of a request; a larger file than MAX_PARTS of them has larger parts
MAX_PARTS = 10_000  # of one upload
CONNECTIONS = 8  # parts in transfer at a time, of all files: each has at most PART_SIZE bytes in memory
BLOCK_SIZE = 256 << 10  # bytes at a time: few enough to stay in the cache of the processor
READ_SIZE, READ_AHEAD = 8 << 20, 4  # bytes of a part, and parts in memory, of each object that is read in order
TRIES = 5  # of a part whose body breaks off, which botocore does not repeat
STOP_INTERVAL = 0.5  # seconds between two looks for a stop signal
START_TIMEOUT = 5.0  # seconds to wait for the answer to CreateMultipartUpload
Result = TypeVar("Result")
Progress = Callable[[int], None]  # gets the number of bytes just transferred
Request = Mapping[str, Any]  # the parameters that all requests of a transfer have
Part = tuple[int, int, Any]  # the CRC and the size of a part that was sent, and its entry in the list of parts


class IncompleteError(Exception):
    """The body of a part broke off every time."""


class StoppedTransferError(BaseException):
    """The transfer was stopped while a part was in progress. It is not an Exception, because botocore repeats those."""


class Threads:
    """Threads that do not delay the end of the process: a part in progress can take longer than a job has to stop."""

    def __init__(self, number: int) -> None:
        """Start the threads when the first work comes."""
        self._number, self._started = number, 0
        self._work = queue.SimpleQueue[Callable[[], None]]()
        self._starting = threading.Lock()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Call a function in one of the threads."""
        future = Future[Result]()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001  raised again by future.result()
                future.set_exception(error)

        with self._starting:
            if self._started < self._number:
                threading.Thread(target=self._run, daemon=True).start()
                self._started += 1
        self._work.put(call)
        return future

    def _run(self) -> None:
        while True:
            self._work.get()()

    def map(self, function: Callable[..., Result], items: Iterable[Any], ahead: int) -> Iterator[Result]:
        """Yield the results in order, with at most `ahead` calls begun; cancel those that wait when it is closed."""
        rest = iter(items)
        waiting = [self.submit(function, item) for item in islice(rest, ahead)]
        try:
            while waiting:
                result = _result(waiting.pop(0))
                waiting += [self.submit(function, item) for item in islice(rest, 1)]
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _result(future: Future[Result]) -> Result:
    """Wait for a result; raise StoppedTransferError when the job must stop: a thread gets no signal."""
    while True:
        try:
            return future.result(STOP_INTERVAL)
        except TimeoutError:
            if future.done():  # the call raised it, or ended after the timeout
                return future.result()
            if signals.stop_requested():
                raise StoppedTransferError from None


class Transfers:
    """The transfers of one client; its threads and connections are kept from file to file."""

    def __init__(self, client: S3Client) -> None:
        """Use `client`, which must allow CONNECTIONS connections."""
        self._client = client
        self._threads = Threads(CONNECTIONS)

    def download(self, request: Request, size: int, path: Path, algorithm: str) -> int:
        """Write an object of `size` bytes to a file; return its CRC, 0 if `algorithm` is none.

        `request` names one version of the object: its parts are read one by one. Raises IncompleteError, ClientError.
        """
        stopped = threading.Event()
        with path.open("wb", buffering=0) as file:
            if not size:
                self._client.get_object(**request)["Body"].close()
                return checksums.combine(algorithm, [])

            def fetch(part: tuple[int, int]) -> tuple[int, int]:
                def write(block: bytes, at: int) -> None:
                    if stopped.is_set():
                        raise StoppedTransferError
                    written = 0
                    while written < len(block):
                        written += os.pwrite(file.fileno(), block[written:], at + written)

                return self.fetch(request, part, algorithm, write)

            try:
                # All parts are begun before the first has ended: the threads are never idle between two of them.
                crcs = list(self._threads.map(fetch, ranges(size, PART_SIZE), 2 * CONNECTIONS))
            except BaseException:
                stopped.set()
                raise
        return checksums.combine(algorithm, crcs)

    def fetch(
        self, request: Request, part: tuple[int, int], algorithm: str, write: Callable[[bytes, int], None]
    ) -> tuple[int, int]:
        """Pass the bytes of a part on, block by block with their offset; return their CRC (0 without one) and number.

        Repeats a part whose body breaks off. Raises IncompleteError, ClientError.
        """
        first, last = part
        for _ in range(TRIES):
            at, crc = first, 0
            try:
                for block in self._blocks(request, first, last):
                    crc = checksums.update(algorithm, block, crc)
                    write(block, at)
                    at += len(block)
            except (HTTPClientError, IncompleteReadError):
                continue
            if at == last + 1:
                return crc, at - first
        raise IncompleteError(f"bytes {first:,} to {last:,} broke off {TRIES} times")

    def _blocks(self, request: Request, first: int, last: int) -> Iterator[bytes]:
        body = self._client.get_object(**request, Range=f"bytes={first}-{last}")["Body"]
        with contextlib.closing(body):
            while block := body.read(BLOCK_SIZE):
                yield block

    def read(self, request: Request, size: int, algorithm: str) -> Generator[tuple[bytearray, int]]:
        """Yield the parts of an object in order, each with its CRC, while the next ones arrive."""

        def fetch(part: tuple[int, int]) -> tuple[bytearray, int]:
            first, last = part
            data = bytearray(last - first + 1)

            def write(block: bytes, at: int) -> None:
                data[at - first : at - first + len(block)] = block

            return data, self.fetch(request, part, algorithm, write)[0]

        yield from self._threads.map(fetch, ranges(size, READ_SIZE), READ_AHEAD)

    def upload(self, path: Path, request: Request, properties: Request, progress: Progress | None = None) -> str:
        """Upload a file; return the CRC64NVME of what was sent. Raises ClientError: then nothing is left in S3."""
        size = path.stat().st_size
        part_size = max(PART_SIZE, -(-size // MAX_PARTS))
        if size <= part_size:
            return self._put(path.read_bytes(), request, properties, progress)
        with path.open("rb", buffering=0) as file, self.begin_upload(request, properties) as upload:
            for first, last in ranges(size, part_size):
                upload.add(partial(_read_range, file.fileno(), first, last), progress)
            return upload.complete()

    def _put(self, data: bytes, request: Request, properties: Request, progress: Progress | None) -> str:
        crc64nvme = checksums.text("CRC64NVME", checksums.update("CRC64NVME", data, 0))
        send = self._threads.submit(
            partial(self._client.put_object, **request, **properties, Body=Body(data), ChecksumCRC64NVME=crc64nvme)  # type: ignore[arg-type]  # as in `_send`
        )
        send.result()
        if progress:
            progress(len(data))
        return crc64nvme

    @contextlib.contextmanager
    def begin_upload(self, request: Request, properties: Request) -> Iterator[Upload]:
        """Begin a multipart upload; abort it unless it is completed in the block."""
        upload = Upload(self._client, self._threads, request, properties)
        with _ended(upload):
            yield upload

    @contextlib.contextmanager
    def grow(self, request: Request, properties: Request) -> Iterator[GrowingUpload]:
        """Upload a file while it is written; abort that unless it is completed in the block."""
        growing = GrowingUpload(partial(Upload, self._client, self._threads, request, properties))
        with _ended(growing):
            yield growing
            growing.abort()


@contextlib.contextmanager
def _ended(upload: Upload | GrowingUpload) -> Iterator[None]:
    """Abort an upload after an error in the block.

    After a stop signal it is left to `Uploads.abort`: S3 may not answer in the time that a stopped job has.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        upload.abort()
        raise
    except BaseException:
        upload.stop()
        raise


class Upload:
    """A multipart upload. Its parts are sent while the next ones are read or made."""

    def __init__(self, client: S3Client, threads: Threads, request: Request, properties: Request) -> None:
        """Begin it, in a thread: a signal must not come between the start of an upload and its id."""
        self._client, self._threads, self._request = client, threads, request
        self._stopped = threading.Event()
        whole: Request = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
        self._start = threads.submit(partial(client.create_multipart_upload, **request, **properties, **whole))
        self._parts = list[Future[Part]]()

    def add(self, read: Callable[[], bytes | bytearray], progress: Progress | None = None) -> None:
        """Send the bytes that `read` returns as the next part; wait while CONNECTIONS parts are in memory."""
        self._start.result()
        if len(self._parts) >= CONNECTIONS:
            self._parts[-CONNECTIONS].result()
        self._parts.append(self._threads.submit(self._send, len(self._parts) + 1, read, progress))

    def _send(
        self, number: int, read: Callable[[], bytes | bytearray], progress: Progress | None
    ) -> tuple[int, int, dict[str, Any]]:
        data = read()
        crc = checksums.update("CRC64NVME", data, 0)
        part = {"PartNumber": number, "ChecksumCRC64NVME": checksums.text("CRC64NVME", crc)}
        body = Body(data, self._stopped)
        answer = self._client.upload_part(**self._request, **self._id, **part, Body=body)  # type: ignore[arg-type]  # typed as bytes or IO
        if progress:
            progress(len(data))
        return crc, len(data), {**part, "ETag": answer["ETag"]}

    @property
    def _id(self) -> Request:
        return {"UploadId": self._start.result()["UploadId"]}

    def complete(self) -> str:
        """Wait for all parts and make them an object, if S3 computes the same checksum; return its CRC64NVME."""
        parts = [part.result() for part in self._parts]
        crc64nvme = checksums.text("CRC64NVME", checksums.combine("CRC64NVME", [(crc, size) for crc, size, _ in parts]))
        self._client.complete_multipart_upload(
            **self._request,
            **self._id,
            MultipartUpload={"Parts": [part for _, _, part in parts]},
            ChecksumCRC64NVME=crc64nvme,
            ChecksumType="FULL_OBJECT",
            MpuObjectSize=sum(size for _, size, _ in parts),
        )
        return crc64nvme

    def stop(self) -> None:
        """Send no more: parts that wait are cancelled, parts in progress break off."""
        self._stopped.set()
        for part in self._parts:
            part.cancel()

    def abort(self) -> None:
        """Stop, and let S3 delete the parts that it has."""
        self.stop()
        for part in self._parts:  # S3 may store a part that arrives after the upload was aborted
            with contextlib.suppress(CancelledError):
                part.exception()
        if not self._start.exception():
            with contextlib.suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**self._request, **self._id)


class GrowingUpload:
    """Send a file while it is written. A failure has no effect: the whole file can be uploaded later."""

    def __init__(self, begin: Callable[[], Upload]) -> None:
        """Begin a multipart upload with the first full part: smaller files need none."""
        self._begin = begin
        self._upload: Upload | None = None
        self._part = bytearray()
        self._size = 0
        self._failed = False

    def write(self, data: bytes) -> None:
        """Send the next bytes; wait while CONNECTIONS parts are in memory."""
        self._part += data
        self._size += len(data)
        if len(self._part) >= PART_SIZE:
            self._send()

    def _send(self) -> None:
        part, self._part = self._part, bytearray()
        if self._failed:
            return
        try:
            self._upload = self._upload or self._begin()
            self._upload.add(lambda: part)
        except (BotoCoreError, ClientError):
            self._failed = True

    def complete(self, size: int) -> str:
        """Make the bytes an object if they are `size`; return its CRC64NVME, or "" if the file must be uploaded."""
        if self._upload and self._part:
            self._send()
        if not self._upload or self._failed or self._size != size:
            return ""
        try:
            crc64nvme = self._upload.complete()
        except (BotoCoreError, ClientError):
            return ""
        self._upload = None  # nothing is left to abort
        return crc64nvme

    def abort(self) -> None:
        """Let S3 delete the parts that it has, unless they are an object."""
        if self._upload:
            self._upload.abort()

    def stop(self) -> None:
        """Send no more."""
        if self._upload:
            self._upload.stop()


class Body:
    """Bytes as the body of a request: http.client asks for 16 KiB at a time, and gets more, without a copy."""

    def __init__(self, data: bytes | bytearray, stopped: threading.Event | None = None) -> None:
        """Send `data`, unless `stopped` is set meanwhile."""
        self._data, self._at, self._stopped = memoryview(data), 0, stopped

    def __len__(self) -> int:
        """Return the number of all bytes."""
        return len(self._data)

    def read(self, size: int | None = None) -> memoryview | bytes:
        """Return the next BLOCK_SIZE bytes or more; without a size, all."""
        if self._stopped and self._stopped.is_set():
            raise StoppedTransferError
        start, end = self._at, len(self._data)
        if size is None or size < 0:
            self._at = end
            return bytes(self._data[start:])
        self._at = min(end, start + max(size, BLOCK_SIZE))
        return self._data[start : self._at]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset: botocore sends the body again when S3 did not answer."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        return self._at

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._at


def ranges(size: int, part_size: int) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the first and the last byte of every part."""
    for first in range(0, size, part_size):
        yield first, min(first + part_size, size) - 1


def _read_range(descriptor: int, first: int, last: int) -> bytes:
    return os.pread(descriptor, last - first + 1, first)


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
