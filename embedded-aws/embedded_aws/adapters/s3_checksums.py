"""Checksums that are checked: a body that does not match is refused, an object without one gets S3's own.

moto believes what it is told (s3/responses.py:2338: _get_checksum), and leaves the checksum's type out of HEAD.
"""

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from typing import Any

from awscrt import checksums
from moto.s3 import models
from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response

from embedded_aws.patches import patch

RUNNING: dict[str, tuple[Callable[[bytes, int], int], int]] = {  # a function that goes on from a value, its bytes
    "CRC64NVME": (checksums.crc64nvme, 8),
    "CRC32": (checksums.crc32, 4),
    "CRC32C": (checksums.crc32c, 4),
}
ALGORITHMS = (*RUNNING, "SHA1", "SHA256")
TRAILER = re.compile(rb"x-amz-checksum-(\w+):([\w+/]+=*)\s*$")
TRAILER_BYTES = 256

_claim = threading.local()
_head = S3Response.head_object
_post = S3Response._key_response_post


class BadDigestError(S3ClientError):  # type: ignore[misc]  # moto is untyped
    """The bytes that came are not the bytes that were announced."""

    code = "BadDigest"

    def __init__(self, algorithm: str) -> None:
        super().__init__("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


class RunningChecksum(models.MultipartChecksumBuilder):  # type: ignore[misc]  # moto is untyped
    """Of a multipart upload, part by part; moto gathers a second copy of the object (s3/models.py:543)."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._value = 0
        self._streams = self.checksum_type == "FULL_OBJECT" and self.checksum_algorithm in RUNNING

    def addPart(self, part: bytes) -> None:  # noqa: N802  # moto's name
        if not self._streams:
            super().addPart(part)
            return
        self._value = RUNNING[self.checksum_algorithm][0](part, self._value)

    def build(self) -> tuple[str, str, int]:
        kind, value, parts = super().build() if not self._streams else ("FULL_OBJECT", self._text(), 1)
        if kind == "FULL_OBJECT" and getattr(_claim, "value", None) not in (None, value):
            raise BadDigestError(self.checksum_algorithm)
        return kind, value, parts

    def _text(self) -> str:
        return _encoded(self._value, RUNNING[self.checksum_algorithm][1])


def checksum(algorithm: str, body: bytes) -> str:
    if algorithm in RUNNING:
        calculate, size = RUNNING[algorithm]
        return _encoded(calculate(body, 0), size)
    return base64.b64encode(hashlib.new(algorithm, body, usedforsecurity=False).digest()).decode()


def _encoded(value: int, size: int) -> str:
    return base64.b64encode(value.to_bytes(size, "big")).decode()


def _announced(response: Any) -> tuple[str, str | None]:
    """The algorithm and the value of a request, by header or by trailer."""
    for algorithm in ALGORITHMS:
        if value := response.headers.get(f"x-amz-checksum-{algorithm.lower()}"):
            return algorithm, value
    if "x-amz-trailer" in response.headers and (found := TRAILER.search(response.raw_body[-TRAILER_BYTES:])):
        return found[1].decode().upper(), found[2].decode()
    return response.headers.get("x-amz-sdk-checksum-algorithm") or "CRC64NVME", None


def _get_checksum(self: Any, response_headers: dict[str, Any]) -> tuple[str, str]:
    body = self.body or b""
    algorithm, announced = _announced(self)
    value = checksum(algorithm, body)
    if announced not in (None, value):
        raise BadDigestError(algorithm)
    md5 = self.headers.get("Content-MD5")
    if md5 not in (None, "") and base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() != md5:
        raise BadDigestError("Content-MD5")
    response_headers[f"x-amz-checksum-{algorithm.lower()}"] = value
    response_headers["x-amz-checksum-type"] = "FULL_OBJECT"
    return algorithm, value


def _head_object(self: Any, bucket_name: str, query: dict[str, Any], key_name: str, headers: Any) -> Any:
    status, answer, body = _head(self, bucket_name, query, key_name, headers)
    version = query.get("versionId", [None])[0]
    told = [name for name in answer if name in {f"x-amz-checksum-{known.lower()}" for known in ALGORITHMS}]
    if told and (key := self.backend.head_object(bucket_name, key_name, version_id=version)):
        answer["x-amz-checksum-type"] = key.checksum_type or "FULL_OBJECT"
        if key.checksum_type == "COMPOSITE":
            answer[told[0]] = f"{key.checksum_value}-{key.checksum_parts}"
    return status, answer, body


def _complete(self: Any, *args: Any) -> Any:
    """CompleteMultipartUpload may announce the checksum of the whole."""
    whole = self.headers.get("x-amz-checksum-type") == "FULL_OBJECT"
    _claim.value = _announced(self)[1] if whole else None
    try:
        return _post(self, *args)
    finally:
        _claim.value = None


def install() -> None:
    patch(models, "MultipartChecksumBuilder", RunningChecksum, source="c94edac1")
    patch(S3Response, "_get_checksum", _get_checksum, source="6f3f4675")
    patch(S3Response, "head_object", _head_object, source="cc1139ce")
    patch(S3Response, "_key_response_post", _complete, source="bad95146")
