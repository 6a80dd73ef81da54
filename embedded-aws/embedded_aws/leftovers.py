"""A server's own folder, and what a killed server left: its folder, and the processes its jobs still are."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .runners import process_tree

PREFIX = "embedded-aws-"
LOCK = ".lock"  # held as long as the server lives, whatever ends it


@contextmanager
def folder() -> Iterator[Path]:
    """Gone at the end."""
    own = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with (own / ".new").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            (own / ".new").rename(own / LOCK)  # never seen without its holder
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def clear() -> None:
    """What is left of every server that is dead. A folder that shows no lock may be one that is just being made."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_dead(left):
            process_tree.kill({process_tree.SERVER: str(left)})
            shutil.rmtree(left, ignore_errors=True)


def _is_dead(left: Path) -> bool:
    try:
        with (left / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return left.stat().st_uid == os.geteuid()
    except OSError:  # held, gone meanwhile, or another person's
        return False
