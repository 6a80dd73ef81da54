"""Find the processes that descend from this one, even if their parents have ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def group_exists(group: int) -> bool:
    """Return True if a process group has running processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return any(of_process == group for _, _, of_process in _processes())  # killpg counts zombies too
    return False


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that `list_descendants` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def list_descendants() -> set[int]:
    """Return the ids of the running descendants of this process."""
    if not _has_children():  # nor has it other descendants, since it adopts orphans; /proc has hundreds of processes
        return set()
    parents = {process: parent for process, parent, _ in _processes()}
    descendants, generation = set[int](), {os.getpid()}
    while generation:
        generation = {process for process, parent in parents.items() if parent in generation} - descendants
        descendants |= generation
    return descendants


def _has_children() -> bool:
    """Return whether this process has a child that runs, or has ended and was not waited for."""
    if sys.platform == "linux":
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
    return True


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield id, parent and group of every running process; nothing on systems without /proc."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, group = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if state not in {"Z", "X"}:
                yield int(path.parent.name), int(parent), int(group)
