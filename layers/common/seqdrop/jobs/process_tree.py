"""Which of the machine's processes descend from this one; none gets out of sight by leaving its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def group_exists(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return any(found == group for _, _, found in _processes())  # the dead that nobody has waited for count above
    return False


def adopt_orphans() -> None:
    """From here on a process whose parent dies becomes a child of this one: none gets out of sight."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def list_descendants() -> set[int]:
    """The living processes below this one."""
    parents = {process: parent for process, parent, _ in _processes()}
    found, newest = set[int](), {os.getpid()}
    while newest:
        newest = {process for process, parent in parents.items() if parent in newest} - found
        found |= newest
    return found


def _processes() -> Iterator[tuple[int, int, int]]:
    """Id, parent and group of every living process; none where the kernel does not show them as files."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, group = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if state not in {"Z", "X"}:
                yield int(path.parent.name), int(parent), int(group)
