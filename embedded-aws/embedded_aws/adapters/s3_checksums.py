"""Validate checksums: refuse a body that does not match, and compute S3's own for an object without one.

moto stores the checksum of the request unchecked (s3/responses.py:2338: _get_checksum), and omits its type in HEAD.
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

INCREMENTAL: dict[str, tuple[Callable[[bytes, int], int], int]] = {  # incremental function, size in bytes
    "CRC64NVME": (checksums.crc64nvme, 8),
    "CRC32": (checksums.crc32, 4),
    "CRC32C": (checksums.crc32c, 4),
}
ALGORITHMS = (*INCREMENTAL, "SHA1", "SHA256")
HEADERS = {f"x-amz-checksum-{algorithm.lower()}" for algorithm in ALGORITHMS}
TRAILER = re.compile(rb"x-amz-checksum-(\w+):([\w+/]+=*)\s*$")
TRAILER_BYTES = 256

_request = threading.local()
_head = S3Response.head_object
_post = S3Response._key_response_post


class BadDigestError(S3ClientError):  # type: ignore[misc]  # moto is untyped
    """The body does not have the checksum of the request."""

    code = "BadDigest"

    def __init__(self, algorithm: str) -> None:
        """Name the algorithm, or Content-MD5."""
        super().__init__("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


class RunningChecksum(models.MultipartChecksumBuilder):  # type: ignore[misc]  # moto is untyped
    """The checksum of a multipart upload, part by part; moto builds a copy of the object (s3/models.py:543)."""

    def __init__(self, *args: Any) -> None:
        """Take moto's arguments."""
        super().__init__(*args)
        self._value = 0
        self._streams = self.checksum_type == "FULL_OBJECT" and self.checksum_algorithm in INCREMENTAL

    def addPart(self, part: bytes) -> None:  # noqa: N802  # moto's name
        """Add the bytes of a part."""
        if self.checksum_type == "COMPOSITE":  # moto takes CRC32 for CRC32C (s3/utils.py:206)
            self.checksum.extend(base64.b64decode(checksum(self.checksum_algorithm, part)))
            self.part_count += 1
            return
        if not self._streams:
            super().addPart(part)
            return
        self._value = INCREMENTAL[self.checksum_algorithm][0](part, self._value)

    def build(self) -> tuple[str, str, int]:
        """Return type, value and number of parts; raise BadDigestError if the request has another value."""
        if self.checksum_type == "COMPOSITE":
            return "COMPOSITE", checksum(self.checksum_algorithm, bytes(self.checksum)), self.part_count
        kind, value, parts = super().build() if not self._streams else ("FULL_OBJECT", self._text(), 1)
        if kind == "FULL_OBJECT" and getattr(_request, "value", None) not in (None, value):
            raise BadDigestError(self.checksum_algorithm)
        return kind, value, parts

    def _text(self) -> str:
        return _encoded(self._value, INCREMENTAL[self.checksum_algorithm][1])


def checksum(algorithm: str, body: bytes) -> str:
    """Return the checksum in base64, as S3 writes it."""
    if algorithm in INCREMENTAL:
        calculate, size = INCREMENTAL[algorithm]
        return _encoded(calculate(body, 0), size)
    return base64.b64encode(hashlib.new(algorithm, body, usedforsecurity=False).digest()).decode()


def _encoded(value: int, size: int) -> str:
    return base64.b64encode(value.to_bytes(size, "big")).decode()


def _request_checksum(response: Any) -> tuple[str, str | None]:
    """Return algorithm and value of a request's checksum, from a header or the trailer."""
    for algorithm in ALGORITHMS:
        if value := response.headers.get(f"x-amz-checksum-{algorithm.lower()}"):
            return algorithm, value
    if "x-amz-trailer" in response.headers and (match := TRAILER.search(response.raw_body[-TRAILER_BYTES:])):
        return match[1].decode().upper(), match[2].decode()
    return response.headers.get("x-amz-sdk-checksum-algorithm") or "CRC64NVME", None


def _get_checksum(self: Any, response_headers: dict[str, Any]) -> tuple[str, str]:
    body = self.body or b""
    algorithm, expected = _request_checksum(self)
    value = checksum(algorithm, body)
    if expected not in (None, value):
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
    names = [name for name in answer if name in HEADERS]
    if names and (key := self.backend.head_object(bucket_name, key_name, version_id=version)):
        answer["x-amz-checksum-type"] = key.checksum_type or "FULL_OBJECT"
        if key.checksum_type == "COMPOSITE":
            answer[names[0]] = f"{key.checksum_value}-{key.checksum_parts}"
    return status, answer, body


def _complete(self: Any, *args: Any) -> Any:
    """Note the checksum of the whole object, which CompleteMultipartUpload may contain."""
    full_object = self.headers.get("x-amz-checksum-type") == "FULL_OBJECT"
    _request.value = _request_checksum(self)[1] if full_object else None
    try:
        return _post(self, *args)
    finally:
        _request.value = None


def install() -> None:
    """Patch moto."""
    patch(models, "MultipartChecksumBuilder", RunningChecksum, source="c94edac1")
    patch(S3Response, "_get_checksum", _get_checksum, source="6f3f4675")
    patch(S3Response, "head_object", _head_object, source="cc1139ce")
    patch(S3Response, "_key_response_post", _complete, source="bad95146")
