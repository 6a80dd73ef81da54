"""S3 as the pipeline uses it: pinned versions in, verified objects out."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from seqdrop.uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# boto3's three tries give up on a throttled bucket within a second.
RETRIES = Config(retries={"mode": "standard", "max_attempts": 10})
# "classic": the CRT client that boto3 would pick beside awscrt ignores AWS_ENDPOINT_URL.
TRANSFER = TransferConfig(preferred_transfer_client="classic", multipart_chunksize=32 << 20, max_concurrency=10)


class IntegrityError(Exception):
    """What arrived is not what was sent."""


class MissingError(Exception):
    """No such object, or no such version of it."""


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


@cache
def client() -> S3Client:
    return boto3.client("s3", config=RETRIES)


def head(uri: S3Uri, version_id: str = "") -> Stored:
    """What lies there now, or in that version; raises MissingError."""
    version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
    try:
        found = client().head_object(Bucket=uri.bucket, Key=uri.key, ChecksumMode="ENABLED", **version)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey", "NoSuchVersion"}:
            raise MissingError(f"{uri} is not there") from None
        raise
    return Stored(
        uri,
        "" if found.get("VersionId") == "null" else found.get("VersionId", ""),
        found["ETag"].strip('"'),
        found["ContentLength"],
        found["Metadata"],
        found.get("ChecksumCRC64NVME", "") if found.get("ChecksumType") == "FULL_OBJECT" else "",
    )


def head_bytes(uri: S3Uri, size: int, version_id: str = "") -> bytes:
    """The first `size` bytes, fewer when the object is shorter."""
    version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
    try:
        answer = client().get_object(Bucket=uri.bucket, Key=uri.key, Range=f"bytes=0-{size - 1}", **version)
    except ClientError as error:
        if error.response["Error"]["Code"] == "InvalidRange":  # the answer for an object of no bytes
            return b""
        raise
    return answer["Body"].read()


def download(uri: S3Uri, path: Path, version_id: str = "") -> Stored:
    """Fetch one version whole and prove it: size, and the checksum S3 holds of the whole object.

    S3 keeps a whole-object CRC64NVME of what current clients upload; for an object with only a composite
    checksum the reader of the file must prove it (gzip and BAM carry their own).
    """
    stored = head(uri, version_id)
    extra = {"VersionId": stored.version_id} if stored.version_id else {}
    client().download_file(uri.bucket, uri.key, str(path), ExtraArgs=extra, Config=TRANSFER)
    if path.stat().st_size != stored.size:
        raise IntegrityError(f"{uri}: {path.stat().st_size} of {stored.size} bytes arrived")
    if stored.crc64nvme and crc64nvme(path) != stored.crc64nvme:
        raise IntegrityError(f"{uri} changed on its way: CRC64NVME is not {stored.crc64nvme}")
    return stored


def upload(path: Path, uri: S3Uri) -> Stored:
    """Store a file and prove that S3 holds it byte for byte."""
    checksum = crc64nvme(path)
    extra: dict[str, Any] = {"ChecksumAlgorithm": "CRC64NVME"}
    client().upload_file(str(path), uri.bucket, uri.key, ExtraArgs=extra, Config=TRANSFER)
    stored = head(uri)
    if stored.crc64nvme != checksum or stored.size != path.stat().st_size:
        raise IntegrityError(f"{uri} is not what was uploaded: CRC64NVME {stored.crc64nvme or 'none'}, not {checksum}")
    return stored


def crc64nvme(path: Path) -> str:
    """The checksum S3 keeps of a whole object, base64 of eight bytes, big end first."""
    from awscrt.checksums import crc64nvme as update  # noqa: PLC0415  compiled: in images, never in the layer

    crc = 0
    with path.open("rb") as file:
        while block := file.read(8 << 20):
            crc = update(block, crc)
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def read_json(uri: S3Uri) -> Any:
    """Raises MissingError."""
    try:
        body = client().get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
    except client().exceptions.NoSuchKey:
        raise MissingError(f"{uri} is not there") from None
    return json.loads(body)


def write_json(uri: S3Uri, value: Any, tagging: str = "") -> None:
    body = (json.dumps(value, indent=2) + "\n").encode()
    tags: dict[str, Any] = {"Tagging": tagging} if tagging else {}
    client().put_object(Bucket=uri.bucket, Key=uri.key, Body=body, ContentType="application/json", **tags)


def names_below(folder: S3Uri) -> list[str]:
    """The keys under a folder, relative to it."""
    prefix = folder.key.rstrip("/") + "/"
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", [])]


def keys_beginning(bucket: str, start: str) -> list[str]:
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]
