"""A list with a prefix looks only at the names of the other objects: each run lists its own few among those of all.

Wraps S3Backend.list_objects (s3/models.py:2795), which reads every object of the bucket.
"""

from types import SimpleNamespace
from typing import Any

from moto.s3.models import FakeTableStorageBucket, S3Backend

from embedded_aws.patches import patch

_list_objects = S3Backend.list_objects


def _list_prefix(self: Any, bucket: Any, prefix: str | None, *args: Any, **more: Any) -> Any:
    if prefix and not isinstance(bucket, FakeTableStorageBucket):
        names = [name for name in list(bucket.keys) if name.startswith(prefix)]
        found = ((name, bucket.keys.get(name)) for name in names)
        bucket = SimpleNamespace(keys={name: key for name, key in found if key is not None})
    return _list_objects(self, bucket, prefix, *args, **more)


def install() -> None:
    """Patch moto."""
    patch(S3Backend, "list_objects", _list_prefix, source="abfe265d")
