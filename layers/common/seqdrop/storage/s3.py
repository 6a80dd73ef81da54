"""S3 as the pipeline uses it: pinned versions in, verified objects out."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from seqdrop.storage import transfers
from seqdrop.storage.uri import S3Uri

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture
    from s3transfer.manager import TransferManager

# boto3's three tries give up on a throttled bucket within a second.
RETRIES = Config(retries={"mode": "standard", "max_attempts": 10})
# "classic": the CRT client that boto3 would pick beside awscrt ignores AWS_ENDPOINT_URL.
TRANSFER = TransferConfig(preferred_transfer_client="classic", multipart_chunksize=32 << 20, max_concurrency=10)
TRIES = 3  # of a transfer whose bytes come out wrong
GONE = {"404", "NoSuchKey", "NoSuchVersion"}
# Refusals that say the bytes or the parts came to harm: the whole transfer can be done anew.
GARBLED = {"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidPart",
           "NoSuchUpload", "PreconditionFailed", "412", "InvalidRange", "416"}  # fmt: skip
# Refusals that pass by themselves.
PASSING = {"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "ExpiredToken", "OperationAborted",
           "Throttling", "ThrottlingException", "RequestLimitExceeded", "KMS.ThrottlingException"}  # fmt: skip
OUT_OF_REACH = FlexibleChecksumError | IncompleteReadError | CredentialRetrievalError | MetadataRetrievalError


class IntegrityError(Exception):
    """What arrived is not what was sent."""


class MissingError(Exception):
    """No such object, or no such version of it."""

    def __init__(self, uri: S3Uri) -> None:
        super().__init__(f"{uri} is not there")
        self.uri = uri


class ReplacedError(Exception):
    """Another object lies at the address than the one that was pinned."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it lies in S3: one version of it."""

    uri: S3Uri
    version_id: str  # "" where the bucket keeps none
    etag: str
    size: int  # bytes
    metadata: Mapping[str, str]
    crc64nvme: str  # base64, of the whole object; "" when S3 holds none

    def pinned(self) -> dict[str, Any]:
        """The entry of reads.json."""
        return {"uri": str(self.uri), "version_id": self.version_id, "etag": self.etag, "size": self.size}


_uploads = transfers.Uploads()


@cache
def client() -> S3Client:
    made = boto3.client("s3", config=RETRIES)
    _uploads.watch(made)
    return made


@cache
def impatient() -> S3Client:
    """For the last words of a job that is told to stop: half a minute later it is killed."""
    return boto3.client("s3", config=Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2}))


def head(uri: S3Uri, version_id: str = "") -> Stored:
    """What lies there now, or in that version; raises MissingError."""
    version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
    try:
        found = client().head_object(Bucket=uri.bucket, Key=uri.key, ChecksumMode="ENABLED", **version)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            raise MissingError(uri) from None
        raise
    return Stored(
        uri,
        "" if found.get("VersionId") == "null" else found.get("VersionId", ""),
        found["ETag"].strip('"'),
        found["ContentLength"],
        found["Metadata"],
        found.get("ChecksumCRC64NVME", "") if found.get("ChecksumType") == "FULL_OBJECT" else "",
    )


def look(uri: S3Uri) -> Stored | None:
    """`head` where nothing there is an answer too."""
    with contextlib.suppress(MissingError):
        return head(uri)
    return None


def head_bytes(uri: S3Uri, size: int, version_id: str = "") -> bytes:
    """The first `size` bytes, fewer when the object is shorter."""
    version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
    try:
        return _read(uri, Range=f"bytes=0-{size - 1}", **version)
    except ClientError as error:
        if error.response["Error"]["Code"] == "InvalidRange":  # the answer for an object of no bytes
            return b""
        raise


def download(uri: S3Uri, path: Path, version_id: str = "", etag: str = "", crc64nvme: str = "") -> Stored:
    """Fetch one version whole and prove it: size, and the checksum of the whole object, pinned or as S3 holds it.

    What current clients upload has a whole-object CRC64NVME. Where S3 holds a composite checksum or none (old
    clients, the parts of other tools), the size is all there is here, and the content proves itself where it is
    read: a FASTQ by the CRC of every gzip member, BAM and VCF by that of every BGZF block, a genome by the MD5 of its
    contigs.
    """
    stored = head(uri, version_id)
    if etag and stored.etag != etag:
        raise ReplacedError(f"{uri} is not the object it was when it was pinned")
    wanted = replace(stored, crc64nvme=crc64nvme or stored.crc64nvme)
    return _again(lambda: _download(wanted, path))


def _download(stored: Stored, path: Path) -> Stored:
    extra = {"VersionId": stored.version_id} if stored.version_id else {}
    _move(stored.uri, lambda manager: manager.download(stored.uri.bucket, stored.uri.key, str(path), extra))
    if path.stat().st_size != stored.size:
        raise IntegrityError(f"{stored.uri}: {path.stat().st_size} of {stored.size} bytes arrived")
    if stored.crc64nvme and checksum(path) != stored.crc64nvme:
        raise IntegrityError(f"{stored.uri} changed on its way: CRC64NVME is not {stored.crc64nvme}")
    return stored


def upload(path: Path, uri: S3Uri) -> Stored:
    """Store a file and prove that S3 holds it byte for byte."""
    sent = checksum(path)
    return _again(lambda: _upload(path, uri, sent))


def _upload(path: Path, uri: S3Uri, sent: str) -> Stored:
    extra = {"ChecksumAlgorithm": "CRC64NVME"}
    _move(uri, lambda manager: manager.upload(str(path), uri.bucket, uri.key, extra))
    stored = head(uri)
    if stored.crc64nvme != sent or stored.size != path.stat().st_size:
        raise IntegrityError(f"{uri} is not what was uploaded: CRC64NVME {stored.crc64nvme or 'none'}, not {sent}")
    return stored


def _again(proven: Callable[[], Stored]) -> Stored:
    """What the connection alone is to blame for, botocore has tried again; this is for bytes that are not right."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(IntegrityError):
            return proven()
        logger.info("the bytes that arrived are not those that were sent: once more")
    return proven()


def _move(uri: S3Uri, begin: Callable[[TransferManager], TransferFuture]) -> None:
    try:
        transfers.transfer(client(), TRANSFER, begin)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in GONE:
            raise MissingError(uri) from None
        if code in GARBLED:
            raise IntegrityError(f"{uri}: S3 says {code}") from error
        raise
    except (FlexibleChecksumError, RetriesExceededError) as error:
        raise IntegrityError(f"{uri} did not arrive whole: {error}") from error


def abort_uploads() -> None:
    """Leave nothing half in S3: for a job that is told to stop."""
    _uploads.abort(impatient())


def is_passing(error: Exception) -> bool:
    """Whether the same call can succeed later: S3 was overloaded or out of reach, or the bytes came to harm."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        refused = status in range(400, 500) and status not in {408, 429}
        return not refused or error.response["Error"]["Code"] in PASSING | GARBLED
    return isinstance(error, IntegrityError | HTTPClientError | ConnectionError | OUT_OF_REACH)


def checksum(path: Path) -> str:
    """The CRC64NVME that S3 keeps of a whole object, base64 of eight bytes, big end first."""
    from awscrt.checksums import crc64nvme as update  # noqa: PLC0415  compiled: in images, never in the layer

    crc = 0
    with path.open("rb") as file:
        while block := file.read(8 << 20):
            crc = update(block, crc)
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def read_json(uri: S3Uri) -> Any:
    """Raises MissingError."""
    try:
        return json.loads(_read(uri))
    except client().exceptions.NoSuchKey:
        raise MissingError(uri) from None


def _read(uri: S3Uri, **asked: Any) -> bytes:
    """Some bytes, into memory. An answer that breaks off is asked for again: botocore does so only until it begins."""

    def begun() -> StreamingBody:
        return client().get_object(Bucket=uri.bucket, Key=uri.key, **asked)["Body"]

    for _ in range(TRIES - 1):
        answer = begun()
        with contextlib.suppress(HTTPClientError, IncompleteReadError):
            return answer.read()
    return begun().read()


def write_json(uri: S3Uri, value: Any, tagging: str = "", by: S3Client | None = None) -> None:
    body = (json.dumps(value, indent=2) + "\n").encode()
    tags: dict[str, Any] = {"Tagging": tagging} if tagging else {}
    (by or client()).put_object(Bucket=uri.bucket, Key=uri.key, Body=body, ContentType="application/json", **tags)


def names_below(folder: S3Uri) -> list[str]:
    """The keys under a folder, relative to it."""
    prefix = folder.key.rstrip("/") + "/"
    return [entry["Key"].removeprefix(prefix) for entry in listed(folder.bucket, prefix)]


def keys_beginning(bucket: str, start: str) -> list[str]:
    return [entry["Key"] for entry in listed(bucket, start)]


def listed(bucket: str, start: str) -> Iterator[Any]:
    """Key, ETag and size of every object whose key begins so: reads no data."""
    for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
        yield from page.get("Contents", [])
