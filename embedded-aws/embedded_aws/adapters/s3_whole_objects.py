"""An object appears whole: its metadata and its checksum with its bytes.

moto lists the new key first and sets its metadata afterwards (s3/models.py:2352, s3/responses.py:2323), so that a HEAD
in between, by the handler of the mate's event, sees an object without metadata.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.s3.models import FakeKey, FakeMultipart, S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import metadata_from_headers

from embedded_aws.patches import patch

_arriving = threading.local()
_make = FakeKey.__init__
_put = S3Response.put_object
_complete = S3Backend.complete_multipart_upload
_join = FakeMultipart.complete


@contextmanager
def _metadata(metadata: Any) -> Iterator[None]:
    _arriving.metadata, _arriving.checksum = metadata, None
    try:
        yield
    finally:
        _arriving.metadata = _arriving.checksum = None


def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    _make(self, *args, **kwargs)
    if (metadata := getattr(_arriving, "metadata", None)) is not None:
        self.set_metadata(dict(metadata))
        if _arriving.checksum:
            self.checksum_type, self.checksum_value, self.checksum_parts = _arriving.checksum
            self.checksum_algorithm = metadata.get("x-amz-checksum-algorithm", "CRC64NVME")


def _put_object(self: Any) -> Any:
    with _metadata(metadata_from_headers(self.headers)):
        return _put(self)


def _complete_multipart_upload(self: Any, bucket_name: str, multipart_id: str, body: Any) -> Any:
    multipart = self.get_bucket(bucket_name).multiparts[multipart_id]
    multipart.metadata.setdefault("x-amz-checksum-algorithm", "CRC64NVME")  # S3's own choice since December 2024
    with _metadata(multipart.metadata):
        key = _complete(self, bucket_name, multipart_id, body)
    multipart.dispose()  # moto keeps each part, an open file, as long as the object
    return key


def _join_parts(self: Any, body: Any) -> Any:
    value, etag, _arriving.checksum = _join(self, body)
    return value, etag, _arriving.checksum


def install() -> None:
    patch(FakeKey, "__init__", _init, source="2aa31db1")
    patch(S3Response, "put_object", _put_object, source="4525dd63")
    patch(S3Backend, "complete_multipart_upload", _complete_multipart_upload, source="864f04af")
    patch(FakeMultipart, "complete", _join_parts, source="fc8d65fc")
