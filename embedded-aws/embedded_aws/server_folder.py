"""The temporary folder of a server, and the removal of folders and processes that a killed server has left."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .runners import process_tree

PREFIX = "embedded-aws-"
LOCK = ".lock"  # locked while the server lives; the kernel unlocks it however the server ends
NEW_LOCK = ".new"


@contextmanager
def create() -> Iterator[Path]:
    """Create the folder of this server, and delete it at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with (folder / NEW_LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / NEW_LOCK).rename(folder / LOCK)  # LOCK never exists without its holder
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale() -> None:
    """Kill the jobs and delete the folder of every server that has ended without cleaning up."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_stale(folder):
            process_tree.kill({process_tree.SERVER: str(folder)})
            shutil.rmtree(folder, ignore_errors=True)


def _is_stale(folder: Path) -> bool:
    """Return False for a folder without a lock: its server may be starting."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder.stat().st_uid == os.geteuid()
    except OSError:  # locked by its server, deleted since, or owned by another user
        return False
