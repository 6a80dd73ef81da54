"""Create the directory of a job on the disk that all jobs of a host share, and remove those of killed jobs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.log import logger

PREFIX = "seqdrop-"
NAME = re.compile(rf"{PREFIX}[a-z]+-[a-z0-9_]{{8}}")


@dataclass(frozen=True, slots=True)
class Scratch:
    """The directory of a job and the lock on it.

    Tools inherit the open file `lock`. The kernel releases the lock when the last process with that file has ended, so
    a directory that can be locked has no running job.
    """

    directory: Path
    lock: int

    def remove(self) -> None:
        """Remove the directory and release its lock; a second call does nothing."""
        _remove(self.directory)
        with contextlib.suppress(OSError):
            os.close(self.lock)


def create(name: str) -> Scratch:
    """Create a locked directory on the scratch disk; raise JobError if that is not possible."""
    while True:
        try:
            directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-", dir=_root()))
        except OSError as error:
            raise _unusable(error) from None
        lock = _lock(directory)
        if lock is not None:  # None: another job removed it as a leftover before it was locked
            return Scratch(directory, lock)


def remove_leftovers() -> None:
    """Remove the directories of killed jobs, whose tools have ended too."""
    for directory in _candidates():
        lock = _lock(directory)
        if lock is None:
            continue
        _remove(directory)
        os.close(lock)
        logger.info("removed the directory of a killed job", directory=directory.name)


def _root() -> Path:
    if not os.environ.get("SEQDROP_SCRATCH"):
        raise JobError("INTERNAL", "SEQDROP_SCRATCH is not set: it must be the path of the scratch disk")
    return Path(os.environ["SEQDROP_SCRATCH"])


def _unusable(error: OSError) -> JobError:
    failure_class = "NO_SPACE" if error.errno == errno.ENOSPC else "INTERNAL"
    return JobError(failure_class, f"the scratch disk {_root()} cannot be used: {error.strerror}")


def _lock(directory: Path) -> int | None:
    """Lock the directory; return None if another process has the lock, or the path is not a directory."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # False if the directory at this path was replaced after it was opened.
        if os.path.samestat(os.fstat(descriptor), directory.lstat()):
            return descriptor
    os.close(descriptor)
    return None


def _candidates() -> Iterator[Path]:
    try:
        with os.scandir(_root()) as entries:
            directories = [Path(entry.path) for entry in entries if NAME.fullmatch(entry.name) and _is_own(entry)]
    except OSError as error:
        raise _unusable(error) from None
    yield from directories


def _is_own(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False


def _remove(directory: Path) -> None:
    # Not shutil.rmtree: it fails on a tree deeper than Python's stack, which a tool can leave.
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if directory.is_dir():
            subprocess.run([*command, "--", directory], stderr=subprocess.DEVNULL, check=False)
    if directory.is_dir():
        logger.warning("the scratch directory could not be removed", directory=directory.name)
