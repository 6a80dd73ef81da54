"""Share the files of references among the jobs of a host: each is fetched once, and proven whenever it is used.

Every job of a host can write to the cache, so nothing in it is trusted: a file is used if its digest is that in the
metadata of the version in S3.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seqdrop.log import logger
from seqdrop.plan.names import canonical
from seqdrop.storage import digests, s3
from seqdrop.storage.s3 import StoredObject

SIZE = "SEQDROP_REFERENCE_CACHE"  # variable with the GiB that the cache may have; 0: no cache
FOLDER = ".seqdrop-references"  # on the scratch disk: the kernel makes no hard link to another mount, even of one disk
DISK_SHARE = 4  # the cache has at most this part of the disk: a quarter
ENTRY, NEW, LOCK = "", ".new", ".lock"  # suffixes: a complete file, one that is being fetched, the lock of both
READ_ONLY = 0o444
PATIENCE = 600.0  # seconds: a human index of 27 GB arrives in that time at 45 MB/s
LOCK_INTERVAL = 0.2  # seconds between two tries to lock
NO_LINK = {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP}  # another device, or no hard links


def fetch(stored: StoredObject, path: Path) -> bool:
    """Put a version of an object at `path`, read-only if it is shared; return True if it came from the cache.

    Without a cache, without room in it and without a digest of the object it is downloaded. Raises as `Store.fetch`.
    """
    digest, cache = digests.of(stored), open_cache()
    if cache and digest and stored.size <= cache.limit:
        try:
            return cache.fetch(stored, path, digest)
        except OSError as error:
            logger.warning("the reference cache cannot be used; fetching without it", reason=str(error))
            if error.errno == errno.ENOSPC:
                cache.clear()
    path.unlink(missing_ok=True)  # an earlier fetch of this job may have linked it: never write to the file of others
    s3.store().fetch(stored, path)
    return False


def clear() -> None:
    """Remove the files that no job uses, for another try of a job that has filled the disk."""
    if cache := open_cache():
        cache.clear()


def open_cache() -> Cache | None:
    """Return the cache of this host; None if there is none, or its folder cannot be used."""
    scratch, size = os.environ.get("SEQDROP_SCRATCH", ""), float(os.environ.get(SIZE) or 0)
    if not (scratch and size):
        return None
    folder = Path(scratch) / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{FOLDER} belongs to another user, or is a link")
        return Cache(folder, min(int(size * (1 << 30)), shutil.disk_usage(folder).total // DISK_SHARE))
    except OSError as error:
        logger.warning("the reference cache cannot be used; fetching without it", reason=str(error))
        return None


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of files, each with the name of the version in S3 that it is."""

    folder: Path
    limit: int  # bytes of all files

    def fetch(self, stored: StoredObject, path: Path, digest: str) -> bool:
        """Link a file to `path` and prove it; download it first if it is missing. Return False if it was.

        Raises OSError if the cache cannot be used; else as `Store.fetch`.
        """
        changed = -1
        for _ in range(2):
            present, entry = self._take(stored, path, changed)
            if _is_proven(path, stored.size, digest):  # also after a download: other jobs can write to it meanwhile
                return present
            logger.warning("a file of the reference cache was changed; fetching it again", file=stored.uri.name)
            changed = entry
        raise OSError("a file of it was changed twice while this job fetched it")

    def _take(self, stored: StoredObject, path: Path, changed: int) -> tuple[bool, int]:
        """Link a file to `path`, downloaded first if it is missing, or still has the inode number `changed`.

        Return whether it was present, and its inode number.
        """
        key = key_of(stored)
        with self._locked(key, PATIENCE):
            present = self._has(key)
            if present and self._path(key).lstat().st_ino == changed:  # else another job has replaced it already
                self._path(key).unlink()
                present = False
            if not present:
                self._fill(key, stored)
            self._link(key, path)
            return present, self._path(key).lstat().st_ino

    def clear(self) -> None:
        """Remove the files that no job uses."""
        with contextlib.suppress(OSError):
            self._make_room(self.limit)

    def _path(self, key: str, suffix: str = ENTRY) -> Path:
        return self.folder / f"{key}{suffix}"

    @contextlib.contextmanager
    def _locked(self, key: str, patience: float) -> Iterator[None]:
        """Hold the lock of a file, which the kernel releases when the process ends; raise TimeoutError."""
        descriptor = os.open(self._path(key, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            deadline = time.monotonic() + patience
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"another job is still fetching this file after {patience:.0f} seconds")
                time.sleep(LOCK_INTERVAL)
            yield
        finally:
            os.close(descriptor)

    def _has(self, key: str) -> bool:
        path = self._path(key)
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()  # a link or a pipe, which no part of seqdrop makes
        return path.exists()

    def _fill(self, key: str, stored: StoredObject) -> None:
        new = self._path(key, NEW)
        new.unlink(missing_ok=True)  # of a job that was killed
        self._make_room(stored.size)
        try:
            s3.store().fetch(stored, new)
            new.rename(self._path(key))
        finally:
            new.unlink(missing_ok=True)

    def _link(self, key: str, path: Path) -> None:
        entry = self._path(key)
        entry.chmod(READ_ONLY)
        # When it was used last, for `_make_room`. All files have one time of change: no index is older than its file.
        os.utime(entry, (time.time(), 0))
        path.unlink(missing_ok=True)
        try:
            os.link(entry, path)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            shutil.copyfile(entry, path)
            path.chmod(READ_ONLY)

    def _make_room(self, size: int) -> None:
        """Remove the files that were unused for longest, until `size` bytes have room; raise OSError if they do not."""
        files = sorted(self._files(), key=lambda file: file[1].st_atime_ns)
        total = sum(status.st_size for _, status in files)
        free = shutil.disk_usage(self.folder).free
        for path, status in files:
            if total + size <= self.limit and size <= free:
                return
            if self._evict(path):
                total, free = total - status.st_size, free + status.st_size
        if total + size > self.limit:
            raise OSError("files that running jobs use fill the cache")

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            if path.suffix != LOCK:
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.lstat()

    def _evict(self, path: Path) -> bool:
        """Remove a file unless a job uses it: it has another link then, or its lock is held."""
        with contextlib.suppress(OSError), self._locked(path.name.removesuffix(NEW), 0):
            if path.lstat().st_nlink == 1:
                path.unlink()
                return True
        return False


def is_shared(status: os.stat_result) -> bool:
    """Return whether a file of a job is a link to one of the cache, which takes no space of its own: see `_link`."""
    return status.st_nlink > 1 and status.st_mtime == 0 and stat.S_ISREG(status.st_mode)


def key_of(stored: StoredObject) -> str:
    """Return the name of a version in the cache."""
    return hashlib.sha256(canonical(stored.pin()).encode()).hexdigest()


def _try_lock(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _is_proven(path: Path, size: int, digest: str) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_size == size and digests.compute(path) == digest
    return False
