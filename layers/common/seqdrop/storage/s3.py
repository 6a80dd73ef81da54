"""Read pinned versions from S3, and verify every object that is written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004  botocore's: the connection to S3
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)

from seqdrop import aws
from seqdrop.log import logger
from seqdrop.storage import checksums, transfers
from seqdrop.storage.checksums import Checksum
from seqdrop.storage.uri import S3Uri

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

# Bodies have their CRC64NVME in a header. A SHA-256 for the signature too, as botocore sends without TLS, takes longer
# than the transfer.
REQUESTS: dict[str, Any] = {"s3": {"payload_signing_enabled": False}, "max_pool_connections": 2 * transfers.CONNECTIONS}
Item = TypeVar("Item")
Result = TypeVar("Result")
FILES = 4  # in transfer at a time: small ones spend most of their time waiting for an answer
PIN_WORDS = ("version_id", "etag", "crc64nvme")  # of a pin, which the object must have
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


def expected_of(pin: Mapping[str, Any]) -> dict[str, str]:
    """Return what a download must have by the pin of an object; "" for what the pin does not say."""
    return {word: str(pin.get(word) or "") for word in PIN_WORDS}


@cache
def store() -> Store:
    """Return the store of this process: one client with the credentials of its environment."""
    return Store(aws.client("s3", retries=aws.RETRIES, **REQUESTS))


def urgent_store() -> Store:
    """Return a store that gives up quickly, for a stopped job: half a minute later the container is killed."""
    return Store(aws.client("s3", connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2}))


class Store:
    """The objects in S3 that one client can reach."""

    def __init__(self, client: S3Client) -> None:
        self.client = client
        self._transfers = transfers.Transfers(client)
        self._files = transfers.Threads(FILES)
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

    def read_range(self, uri: S3Uri, start: int, size: int, version_id: str = "", etag: str = "") -> bytes:
        """Return `size` bytes of an object from `start` on, fewer at its end; raise MissingError, ArchivedError.

        Raise IntegrityError if the object has another ETag than `etag`.
        """
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        version |= {"IfMatch": f'"{etag}"'} if etag else {}
        with _errors_of(uri):
            return self._read(uri, Range=f"bytes={start}-{start + size - 1}", **version)

    def download(
        self, uri: S3Uri, path: Path, version_id: str = "", etag: str = "", crc64nvme: str = ""
    ) -> StoredObject:
        """Download one version and verify its size and its checksum: the pinned one, or whichever S3 has.

        Without a `checksum` in the result, only the size is verified here. Then the content is verified where it is
        read: gzipped FASTQs by the CRC of every member, BAM and VCF by that of every BGZF block. Plain text is not.
        Raises MissingError, ArchivedError, ReplacedError, IntegrityError.
        """
        return self.fetch(self.expected(uri, version_id, etag, crc64nvme), path)

    def fetch(self, expected: StoredObject, path: Path) -> StoredObject:
        """Download the version that `expected` returned; verify and raise as `download` does."""
        return _repeat(lambda: self._download(expected, path))

    def expected(self, uri: S3Uri, version_id: str, etag: str, crc64nvme: str) -> StoredObject:
        """Return the version that a pin names, with the checksum to compare; raise MissingError, ReplacedError."""
        current = self.head(uri, version_id)
        if etag and current.etag != etag:
            raise ReplacedError(f"{uri} was replaced after it was pinned")
        pinned = Checksum("CRC64NVME", crc64nvme) if crc64nvme else current.checksum
        return replace(current, crc64nvme=crc64nvme or current.crc64nvme, checksum=pinned)

    def stream(self, uri: S3Uri, name: str, version_id: str = "", etag: str = "", crc64nvme: str = "") -> Stream | None:
        """Return a version that can be read once, in order, and verified on the way; raise as `download` does.

        `name` is for messages. None if its checksum needs a file: one of its parts, an MD5 or a SHA.
        """
        expected = self.expected(uri, version_id, etag, crc64nvme)
        wanted = expected.checksum
        if wanted and (wanted.parts or wanted.algorithm not in checksums.CRC_SIZES):
            return None
        return Stream(name, expected, lambda: self._read_parts(expected))

    def _read_parts(self, expected: StoredObject) -> Generator[bytearray]:
        """Yield the parts of an object, and at its end verify its checksum; raise IntegrityError, ArchivedError."""
        uri, wanted, crcs = expected.uri, expected.checksum, list[tuple[int, int]]()
        algorithm = wanted.algorithm if wanted else ""
        with _errors_of(uri), contextlib.closing(
            self._transfers.read(_request(expected), expected.size, algorithm)
        ) as parts:  # fmt: skip
            for part, crc in parts:
                crcs.append((crc, len(part)))
                yield part
        if wanted and checksums.text(algorithm, checksums.combine(algorithm, crcs)) != wanted.value:
            raise IntegrityError(f"{uri} was damaged in transfer: its {wanted.algorithm} is not {wanted.value}")

    def each(self, transfer: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call `transfer` for several items at a time; yield the results in order, raise the first error."""
        return self._files.map(transfer, items, FILES)

    def _download(self, expected: StoredObject, path: Path) -> StoredObject:
        uri, wanted = expected.uri, expected.checksum
        algorithm = wanted.algorithm if wanted and not wanted.parts else ""
        with _errors_of(uri):
            crc = self._transfers.download(_request(expected), expected.size, path, algorithm)
        if path.stat().st_size != expected.size:
            raise IntegrityError(f"{uri}: {path.stat().st_size} of {expected.size} bytes arrived")
        if wanted and not self._has_checksum(path, expected, wanted, crc):
            raise IntegrityError(f"{uri} was damaged in transfer: its {wanted.algorithm} is not {wanted.value}")
        return expected

    def _has_checksum(self, path: Path, stored: StoredObject, wanted: Checksum, crc: int) -> bool:
        """Compare the CRC that was computed in transfer; for other checksums, read the file."""
        if not wanted.parts and wanted.algorithm in checksums.CRC_SIZES:
            return checksums.text(wanted.algorithm, crc) == wanted.value
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
        progress: transfers.Progress | None = None,
        tagging: str = "",
        growing: transfers.GrowingUpload | None = None,
    ) -> StoredObject:
        """Upload a file and verify that S3 has the same bytes; `tagging` is `key=value`. Raises IntegrityError.

        `growing` has sent the file, or the beginning of it, while it was written.
        """
        extra: dict[str, Any] = {"Metadata": dict(metadata)} if metadata else {}
        if tagging:
            extra["Tagging"] = tagging
        if growing and (sent := growing.complete(path.stat().st_size)):
            with contextlib.suppress(IntegrityError):
                return self._verify(path, uri, sent)
        return _repeat(lambda: self._upload(path, uri, extra, progress))

    def _upload(
        self, path: Path, uri: S3Uri, properties: Mapping[str, Any], progress: transfers.Progress | None
    ) -> StoredObject:
        with _errors_of(uri):
            sent = self._transfers.upload(path, {"Bucket": uri.bucket, "Key": uri.key}, properties, progress)
        return self._verify(path, uri, sent)

    def grow(self, uri: S3Uri, tagging: str = "") -> AbstractContextManager[transfers.GrowingUpload]:
        """Upload a file while it is written: `upload` makes it an object, else nothing is left of it."""
        properties = {"Tagging": tagging} if tagging else {}
        return self._transfers.grow({"Bucket": uri.bucket, "Key": uri.key}, properties)

    def _verify(self, path: Path, uri: S3Uri, sent: str) -> StoredObject:
        """Return the object if it is what was sent; raise IntegrityError."""
        uploaded = self.head(uri)
        if uploaded.crc64nvme != sent or uploaded.size != path.stat().st_size:
            has = uploaded.crc64nvme or "none"
            raise IntegrityError(f"{uri} is not the uploaded file: its CRC64NVME is {has}, not {sent}")
        return uploaded

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


class Stream:
    """An object that is read in order, without a file. Its bytes are verified when all of them are read."""

    def __init__(self, name: str, stored: StoredObject, parts: Callable[[], Generator[bytearray]]) -> None:
        """Read the bytes that `parts` yields."""
        self.name, self.stored, self.size = name, stored, stored.size
        self._parts, self._part, self._at, self._before = parts(), memoryview(b""), 0, 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end; fewer than `size` at the end of a part."""
        while self._at == len(self._part):
            part = next(self._parts, None)
            if part is None:
                return b""
            self._before += len(self._part)
            self._part, self._at = memoryview(part), 0
        data = bytes(self._part[self._at : self._at + size])
        self._at += len(data)
        return data

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self._before + self._at

    def verify(self) -> None:
        """Read to the end; raise IntegrityError if the bytes are not those of the object."""
        self._part, self._at = memoryview(b""), 0
        for _ in self._parts:
            pass

    def close(self) -> None:
        """End the transfer."""
        self._parts.close()


def _request(stored: StoredObject) -> dict[str, str]:
    """Return the parameters that name one version of an object."""
    version = {"VersionId": stored.version_id} if stored.version_id else {}
    return {"Bucket": stored.uri.bucket, "Key": stored.uri.key, "IfMatch": f'"{stored.etag}"', **version}


@contextlib.contextmanager
def _errors_of(uri: S3Uri) -> Iterator[None]:
    """Raise the errors of a transfer as those of this module."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in NOT_FOUND:
            raise MissingError(uri) from None
        if code == "InvalidObjectState":
            raise ArchivedError(uri) from None
        if code in DAMAGED:
            raise IntegrityError(f"{uri}: S3 reports {code}") from error
        raise
    except (FlexibleChecksumError, transfers.IncompleteError) as error:
        raise IntegrityError(f"{uri} did not arrive complete: {error}") from error


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
