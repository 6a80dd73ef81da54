"""Metadata and checksum appear together with the object.

moto lists the new key first and sets its metadata afterwards (s3/models.py:2352, s3/responses.py:2323): a HEAD in
between, such as that of an event handler, sees an object without metadata.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.s3.models import FakeKey, FakeMultipart, S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import metadata_from_headers

from embedded_aws.patches import patch

_request = threading.local()
_init_key = FakeKey.__init__
_put = S3Response.put_object
_complete = S3Backend.complete_multipart_upload
_join = FakeMultipart.complete


@contextmanager
def _metadata(metadata: Any) -> Iterator[None]:
    _request.metadata, _request.checksum = metadata, None
    try:
        yield
    finally:
        _request.metadata = _request.checksum = None


def _init_with_metadata(self: Any, *args: Any, **kwargs: Any) -> None:
    _init_key(self, *args, **kwargs)
    if (metadata := getattr(_request, "metadata", None)) is not None:
        self.set_metadata(dict(metadata))
        if _request.checksum:
            self.checksum_type, self.checksum_value, self.checksum_parts = _request.checksum
            self.checksum_algorithm = metadata.get("x-amz-checksum-algorithm", "CRC64NVME")


def _put_object(self: Any) -> Any:
    with _metadata(metadata_from_headers(self.headers)):
        return _put(self)


def _complete_multipart_upload(self: Any, bucket_name: str, multipart_id: str, body: Any) -> Any:
    multipart = self.get_bucket(bucket_name).multiparts[multipart_id]
    multipart.metadata.setdefault("x-amz-checksum-algorithm", "CRC64NVME")  # S3's default since December 2024
    with _metadata(multipart.metadata):
        key = _complete(self, bucket_name, multipart_id, body)
    multipart.dispose()  # moto keeps each part, an open file, until the object is deleted
    return key


def _join_parts(self: Any, body: Any) -> Any:
    value, etag, _request.checksum = _join(self, body)
    return value, etag, _request.checksum


def install() -> None:
    """Patch moto."""
    patch(FakeKey, "__init__", _init_with_metadata, source="2aa31db1")
    patch(S3Response, "put_object", _put_object, source="4525dd63")
    patch(S3Backend, "complete_multipart_upload", _complete_multipart_upload, source="864f04af")
    patch(FakeMultipart, "complete", _join_parts, source="fc8d65fc")
