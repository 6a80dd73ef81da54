"""Read pinned versions from S3, and verify every object that is written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004  botocore's: the connection to S3
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from s3transfer.exceptions import RetriesExceededError

from seqdrop.log import logger
from seqdrop.storage import checksums, transfers
from seqdrop.storage.checksums import Checksum
from seqdrop.storage.uri import S3Uri

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture
    from s3transfer.manager import TransferManager

# The three attempts that boto3 makes by default give up on a throttled bucket within a second.
RETRIES = Config(retries={"mode": "standard", "max_attempts": 10})
# "classic": the CRT client, which boto3 prefers when awscrt is installed, ignores AWS_ENDPOINT_URL.
TRANSFER = TransferConfig(preferred_transfer_client="classic", multipart_chunksize=32 << 20, max_concurrency=10)
ATTEMPTS = 3  # of a transfer whose bytes arrive damaged
NOT_FOUND = {"404", "NoSuchKey", "NoSuchVersion"}
ARCHIVES = {"GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"}  # GLACIER_IR can be read at once
# Error codes that mean that bytes or parts were damaged: the whole transfer can be repeated.
DAMAGED = {"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidPart",
           "NoSuchUpload", "PreconditionFailed", "412", "InvalidRange", "416"}  # fmt: skip
# Error codes of a write that another one came before, or at the same time.
EXISTS = {"PreconditionFailed", "ConditionalRequestConflict"}
# Error codes of temporary refusals.
TEMPORARY = {"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "ExpiredToken", "OperationAborted",
             "Throttling", "ThrottlingException", "RequestLimitExceeded", "KMS.ThrottlingException"}  # fmt: skip
UNREACHABLE = FlexibleChecksumError | IncompleteReadError | CredentialRetrievalError | MetadataRetrievalError
Progress = Callable[[int], None]  # gets the number of bytes just transferred


class IntegrityError(Exception):
    """The bytes that arrived are not the bytes that were sent."""


class MissingError(Exception):
    """The object, or this version of it, does not exist."""

    def __init__(self, uri: S3Uri) -> None:
        super().__init__(f"{uri} does not exist")
        self.uri = uri


class ArchivedError(Exception):
    """The object must be restored before it can be read."""

    def __init__(self, uri: S3Uri) -> None:
        super().__init__(f"{uri} is archived: restore it (`aws s3api restore-object`), which takes hours")


class ReplacedError(Exception):
    """The object at the address is not the object that was pinned."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object in S3."""

    uri: S3Uri
    version_id: str  # "" in a bucket without versioning
    etag: str
    size: int  # bytes
    metadata: Mapping[str, str]
    crc64nvme: str  # base64, of the whole object; "" when S3 has none
    modified: str = field(default="", compare=False)  # `2026-03-01 10:00 UTC`
    archived: str = ""  # the storage class of an object that must be restored before it can be read
    checksum: Checksum | None = None  # whichever S3 has; None if nothing proves the bytes

    def pin(self) -> dict[str, Any]:
        """Return the version as reads.json and receipts have it."""
        return {"uri": str(self.uri), "version_id": self.version_id, "etag": self.etag, "size": self.size}

    def source(self) -> dict[str, Any]:
        """Return the version as reference.json has it: with the checksum of the whole object, "" where S3 has none."""
        return {**self.pin(), "crc64nvme": self.crc64nvme}


@cache
def store() -> Store:
    """Return the store of this process: one client with the credentials of its environment."""
    return Store(boto3.client("s3", config=RETRIES))


def urgent_store() -> Store:
    """Return a store that gives up quickly, for a stopped job: half a minute later the container is killed."""
    limits = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    return Store(boto3.client("s3", config=limits))


class Store:
    """The objects in S3 that one client can reach."""

    def __init__(self, client: S3Client) -> None:
        self.client = client
        self._uploads = transfers.Uploads()
        self._uploads.watch(client)

    def head(self, uri: S3Uri, version_id: str = "") -> StoredObject:
        """Return the current version of an object, or `version_id`; raise MissingError."""
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        try:
            answer = self.client.head_object(Bucket=uri.bucket, Key=uri.key, ChecksumMode="ENABLED", **version)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_FOUND:
                raise MissingError(uri) from None
            raise
        return StoredObject(
            uri,
            "" if answer.get("VersionId") == "null" else answer.get("VersionId", ""),
            answer["ETag"].strip('"'),
            answer["ContentLength"],
            answer["Metadata"],
            answer.get("ChecksumCRC64NVME", "") if answer.get("ChecksumType") == "FULL_OBJECT" else "",
            _format_minute(answer["LastModified"]) if "LastModified" in answer else "",
            _archived(answer),
            Checksum.of(answer),
        )

    def find(self, uri: S3Uri) -> StoredObject | None:
        """Return the current version of an object; None when there is none."""
        with contextlib.suppress(MissingError):
            return self.head(uri)
        return None

    def read_start(self, uri: S3Uri, size: int, version_id: str = "") -> bytes:
        """Return the first `size` bytes of an object, fewer when it is shorter."""
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        try:
            return self._read(uri, Range=f"bytes=0-{size - 1}", **version)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRange":  # the object is empty
                return b""
            raise

    def download(
        self, uri: S3Uri, path: Path, version_id: str = "", etag: str = "", crc64nvme: str = ""
    ) -> StoredObject:
        """Download one version and verify its size and its checksum: the pinned one, or whichever S3 has.

        Without a `checksum` in the result, only the size is verified here. Then the content is verified where it is
        read: gzipped FASTQs by the CRC of every member, BAM and VCF by that of every BGZF block. Plain text is not.
        Raises MissingError, ArchivedError, ReplacedError, IntegrityError.
        """
        current = self.head(uri, version_id)
        if etag and current.etag != etag:
            raise ReplacedError(f"{uri} was replaced after it was pinned")
        pinned = Checksum("CRC64NVME", crc64nvme) if crc64nvme else current.checksum
        expected = replace(current, crc64nvme=crc64nvme or current.crc64nvme, checksum=pinned)
        return _repeat(lambda: self._download(expected, path))

    def _download(self, expected: StoredObject, path: Path) -> StoredObject:
        uri, version = expected.uri, {"VersionId": expected.version_id} if expected.version_id else {}
        self._transfer(uri, lambda manager: manager.download(uri.bucket, uri.key, str(path), version))
        if path.stat().st_size != expected.size:
            raise IntegrityError(f"{uri}: {path.stat().st_size} of {expected.size} bytes arrived")
        if (wanted := expected.checksum) and not self._has_checksum(path, expected, wanted):
            raise IntegrityError(f"{uri} was damaged in transfer: its {wanted.algorithm} is not {wanted.value}")
        return expected

    def _has_checksum(self, path: Path, stored: StoredObject, wanted: Checksum) -> bool:
        if not wanted.parts:
            return checksums.compute(path, wanted.algorithm) == wanted.value
        # S3 has the size of each part, one request for each: most clients give all but the last one the same.
        first = self._part_size(stored, 1)
        equal = [first] * (wanted.parts - 1)
        if checksums.compute(path, wanted.algorithm, [*equal, stored.size - sum(equal)]) == wanted.value:
            return True
        sizes = [first, *(self._part_size(stored, number) for number in range(2, wanted.parts + 1))]
        return checksums.compute(path, wanted.algorithm, sizes) == wanted.value

    def _part_size(self, stored: StoredObject, number: int) -> int:
        """Return the bytes in a part of an object, by the number of the part."""
        version: dict[str, Any] = {"VersionId": stored.version_id} if stored.version_id else {}
        uri = stored.uri
        return self.client.head_object(Bucket=uri.bucket, Key=uri.key, PartNumber=number, **version)["ContentLength"]

    def upload(
        self,
        path: Path,
        uri: S3Uri,
        metadata: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        tagging: str = "",
    ) -> StoredObject:
        """Upload a file and verify that S3 has the same bytes; `tagging` is `key=value`. Raises IntegrityError."""
        extra: dict[str, Any] = {"Metadata": dict(metadata)} if metadata else {}
        if tagging:
            extra["Tagging"] = tagging
        crc64nvme = checksum(path)
        return _repeat(lambda: self._upload(path, uri, crc64nvme, extra, progress))

    def _upload(
        self, path: Path, uri: S3Uri, crc64nvme: str, properties: Mapping[str, Any], progress: Progress | None
    ) -> StoredObject:
        extra = {"ChecksumAlgorithm": "CRC64NVME", **properties}
        subscribers = [transfers.Reporter(progress)] if progress else []
        self._transfer(uri, lambda manager: manager.upload(str(path), uri.bucket, uri.key, extra, subscribers))
        uploaded = self.head(uri)
        if uploaded.crc64nvme != crc64nvme or uploaded.size != path.stat().st_size:
            has = uploaded.crc64nvme or "none"
            raise IntegrityError(f"{uri} is not the uploaded file: its CRC64NVME is {has}, not {crc64nvme}")
        return uploaded

    def _transfer(self, uri: S3Uri, begin: Callable[[TransferManager], TransferFuture]) -> None:
        try:
            transfers.transfer(self.client, TRANSFER, begin)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in NOT_FOUND:
                raise MissingError(uri) from None
            if code == "InvalidObjectState":
                raise ArchivedError(uri) from None
            if code in DAMAGED:
                raise IntegrityError(f"{uri}: S3 reports {code}") from error
            raise
        except (FlexibleChecksumError, RetriesExceededError) as error:
            raise IntegrityError(f"{uri} did not arrive complete: {error}") from error

    def abort_uploads(self, client: S3Client) -> None:
        """Abort the multipart uploads in progress through another `client`: for a stopped job."""
        self._uploads.abort(client)

    def read_json(self, uri: S3Uri) -> Any:
        """Return the value of a JSON object; raise MissingError, ValueError."""
        try:
            return json.loads(self._read(uri))
        except self.client.exceptions.NoSuchKey:
            raise MissingError(uri) from None

    def _read(self, uri: S3Uri, **request: Any) -> bytes:
        """Return the body of an object; repeat the request when the body breaks off, which botocore does not do."""

        def body() -> StreamingBody:
            return self.client.get_object(Bucket=uri.bucket, Key=uri.key, **request)["Body"]

        for _ in range(ATTEMPTS - 1):
            answer = body()
            with contextlib.suppress(HTTPClientError, IncompleteReadError):
                return answer.read()
        return body().read()

    @contextlib.contextmanager
    def open(self, uri: S3Uri) -> Iterator[BufferedIOBase]:
        """Open the current version of an object for reading; raise MissingError."""
        try:
            body = self.client.get_object(Bucket=uri.bucket, Key=uri.key)["Body"]
        except self.client.exceptions.NoSuchKey:
            raise MissingError(uri) from None
        with contextlib.closing(body):
            yield cast(BufferedIOBase, body)

    def write(self, uri: S3Uri, content: bytes) -> None:
        """Write a small object; S3 verifies the checksum that the client sends with it."""
        self.client.put_object(Bucket=uri.bucket, Key=uri.key, Body=content)

    def write_json(self, uri: S3Uri, value: Any, tagging: str = "") -> None:
        """Write a value as indented JSON; `tagging` is `key=value`."""
        text = (json.dumps(value, indent=2) + "\n").encode()
        tags: dict[str, Any] = {"Tagging": tagging} if tagging else {}
        self.client.put_object(Bucket=uri.bucket, Key=uri.key, Body=text, ContentType="application/json", **tags)

    def write_json_once(self, uri: S3Uri, value: Any) -> None:
        """Write a value as indented JSON unless there is an object already, of this caller or of another one."""
        text = (json.dumps(value, indent=2) + "\n").encode()
        try:
            self.client.put_object(
                Bucket=uri.bucket, Key=uri.key, Body=text, ContentType="application/json", IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in EXISTS:
                raise

    def list_names(self, folder: S3Uri) -> list[str]:
        """Return the keys below a folder, relative to it."""
        prefix = folder.key.rstrip("/") + "/"
        return [entry["Key"].removeprefix(prefix) for entry in self.list_objects(folder.bucket, prefix)]

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        """Return every key that begins with `prefix`."""
        return [entry["Key"] for entry in self.list_objects(bucket, prefix)]

    def list_keys_outside_folders(self, bucket: str) -> list[str]:
        """Return every key without a `/`."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/")
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def list_objects(self, bucket: str, prefix: str) -> Iterator[Any]:
        """Yield the listing entry (Key, ETag, Size, LastModified) of every object whose key begins with `prefix`."""
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", [])


def _format_minute(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _archived(answer: Mapping[str, Any]) -> str:
    """Return the storage class of an object that cannot be read now, from the answer to HEAD; "" if it can be read.

    A restored copy has `ongoing-request="false"`. Intelligent-Tiering names its archive tier apart from the class.
    """
    if 'ongoing-request="false"' in answer.get("Restore", ""):
        return ""
    archive = answer.get("ArchiveStatus") or answer.get("StorageClass", "")
    return archive if archive in ARCHIVES else ""


def _repeat(attempt: Callable[[], StoredObject]) -> StoredObject:
    """Repeat a transfer whose bytes were damaged; botocore already repeats lost connections."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(IntegrityError):
            return attempt()
        logger.info("transfer damaged, repeating it")
    return attempt()


def is_transient(error: Exception) -> bool:
    """Return True if the same call can succeed later: S3 was overloaded or unreachable, or bytes were damaged."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        refused = status in range(400, 500) and status not in {408, 429}
        return not refused or error.response["Error"]["Code"] in TEMPORARY | DAMAGED
    return isinstance(error, IntegrityError | HTTPClientError | ConnectionError | UNREACHABLE)


def checksum(path: Path) -> str:
    """Return the CRC64NVME of a file as S3 keeps it: base64 of eight bytes, big-endian."""
    return checksums.compute(path, "CRC64NVME")
