"""GET reads only the requested range; moto reads the whole object for every range (s3/models.py:201: FakeKey.value)."""

import threading
from collections.abc import Iterator
from typing import Any

from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from embedded_aws.patches import patch

SMALL = 1 << 20  # below this size a copy costs less
CHUNK = 1 << 20

_request = threading.local()
_value = FakeKey.value
_get_object = S3Response.get_object


class LazyBody:
    """The bytes of an object, read on demand: moto uses len, slices and iteration of a body."""

    def __init__(self, key: Any) -> None:
        """Read from moto's object."""
        self._key = key

    def __len__(self) -> int:
        """Return the size of the object."""
        return int(self._key.contentsize)

    def __getitem__(self, span: slice) -> bytes:
        """Read a range."""
        first, last, _ = span.indices(len(self))
        with self._key.lock:
            self._key._value_buffer.seek(first)
            return bytes(self._key._value_buffer.read(max(0, last - first)))

    def __iter__(self) -> Iterator[bytes]:
        """Read chunk by chunk."""
        for first in range(0, len(self), CHUNK):
            yield self[first : first + CHUNK]


def _read(self: Any) -> Any:
    if getattr(_request, "is_get", False) and self.contentsize > SMALL:
        return LazyBody(self)
    return _value.fget(self)


def _answer(self: Any) -> Any:
    _request.is_get = True
    try:
        return _get_object(self)
    finally:
        _request.is_get = False


_lazy_value = property(_read, _value.fset)


def install() -> None:
    """Patch moto."""
    patch(FakeKey, "value", _lazy_value, source="fc1bf733")
    patch(S3Response, "get_object", _answer, source="5fe605ec")
