"""Hand files to the next step of the same job on its scratch disk, instead of through S3. Each is proven when used."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from seqdrop.log import logger
from seqdrop.storage import checksums, s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri

FOLDER = "SEQDROP_KEPT"  # variable with the folder of a job that has several steps; others keep nothing


def keep(uri: S3Uri, path: Path) -> None:
    """Keep a file that was read from an address, or published there, as a hard link; without room or links, do not."""
    if folder := os.environ.get(FOLDER):
        target = _place(folder, uri)
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
            os.link(path, target)


def link(uri: S3Uri, path: Path, version_id: str = "", etag: str = "", crc64nvme: str = "") -> StoredObject | None:
    """Put a kept file at `path` if it has the size and the checksum of the object in S3; else return None.

    A file whose object has no checksum of the whole is not used. Raises as `Store.download` does where the object is
    missing or was replaced.
    """
    folder = os.environ.get(FOLDER)
    if not folder or not (source := _place(folder, uri)).is_file():
        return None
    stored = s3.store().expected(uri, version_id, etag, crc64nvme)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, path)
        if _is_proven(path, stored):
            return stored
    logger.warning("a kept file is not that of S3, and is fetched again")
    for damaged in (path, source):
        damaged.unlink(missing_ok=True)
    return None


def _place(folder: str, uri: S3Uri) -> Path:
    return Path(folder) / hashlib.sha256(str(uri).encode()).hexdigest()[:32]


def _is_proven(path: Path, stored: StoredObject) -> bool:
    wanted = stored.checksum
    if wanted is None or wanted.parts or path.stat().st_size != stored.size:
        return False
    return checksums.compute(path, wanted.algorithm) == wanted.value
