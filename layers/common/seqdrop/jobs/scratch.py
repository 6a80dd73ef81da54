"""A job's own directory on a disk that all jobs of a host share, and what jobs that were killed left there."""

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
OURS = re.compile(rf"{PREFIX}[a-z]+-[a-z0-9_]{{8}}")


@dataclass(frozen=True, slots=True)
class Scratch:
    """A directory and the lock on it.

    The kernel drops the lock when the last process that holds `lock` is gone; tools inherit it, so a directory that
    can be locked belongs to nobody who lives.
    """

    directory: Path
    lock: int

    def remove(self) -> None:
        """Safe to call again."""
        _remove(self.directory)
        with contextlib.suppress(OSError):
            os.close(self.lock)


def create(name: str) -> Scratch:
    """A fresh, locked directory under the scratch root; raises JobError where there can be none."""
    while True:
        try:
            directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-", dir=_root()))
        except OSError as error:
            raise _unusable(error) from None
        lock = _lock(directory)
        if lock is not None:  # else another job took it for a leftover before it was locked
            return Scratch(directory, lock)


def remove_leftovers() -> None:
    """Remove the directories of jobs that were killed, with all their tools."""
    for directory in _candidates():
        lock = _lock(directory)
        if lock is None:
            continue
        _remove(directory)
        os.close(lock)
        logger.info("cleared what a killed job left", directory=directory.name)


def _root() -> Path:
    if not os.environ.get("SEQDROP_SCRATCH"):
        raise JobError("INTERNAL", "SEQDROP_SCRATCH names no scratch disk for this job")
    return Path(os.environ["SEQDROP_SCRATCH"])


def _unusable(error: OSError) -> JobError:
    kind = "NO_SPACE" if error.errno == errno.ENOSPC else "INTERNAL"
    return JobError(kind, f"the scratch disk {_root()} cannot be used: {error.strerror}")


def _lock(directory: Path) -> int | None:
    """A lock on the directory that lies at this path now; None where another has it or the path is no directory."""
    try:
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(opened), directory.lstat()):
            return opened
    os.close(opened)
    return None


def _candidates() -> Iterator[Path]:
    try:
        with os.scandir(_root()) as entries:
            found = [Path(entry.path) for entry in entries if OURS.fullmatch(entry.name) and _is_own(entry)]
    except OSError as error:
        raise _unusable(error) from None
    yield from found


def _is_own(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False


def _remove(directory: Path) -> None:
    # Not shutil.rmtree: that gives up on a tree deeper than Python's stack, which a tool can leave.
    for words in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if directory.is_dir():
            subprocess.run([*words, "--", directory], stderr=subprocess.DEVNULL, check=False)
    if directory.is_dir():
        logger.warning("the scratch directory could not be removed", directory=directory.name)
