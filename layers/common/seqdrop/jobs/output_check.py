"""What a tool left behind, looked through before any of it is published."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from seqdrop.failure.verdict import JobError

MOST_FILES = 100_000  # of a step; what a tool of ours leaves is some thousands (Strelka, MultiQC)
DEEPEST = 64  # folders in each other
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def check_directory(directory: Path) -> None:
    """Raises JobError for what no tool has a reason to leave: ways out of the directory, devices, a flood of files."""
    root = directory.resolve()
    for number, entry in enumerate(_entries(directory), start=1):
        if number > MOST_FILES:
            raise _refused(f"more than {MOST_FILES} files")
        mode = entry.stat(follow_symlinks=False).st_mode
        kind = KINDS.get(stat.S_IFMT(mode))
        if kind:
            raise _refused(kind, Path(entry.path).relative_to(directory))
        if stat.S_ISLNK(mode) and not Path(os.path.realpath(entry.path)).is_relative_to(root):
            raise _refused("a link that leads out of its directory", Path(entry.path).relative_to(directory))


def resolve_output(path: Path, directory: Path, name: str) -> Path:
    """The path, links resolved, of a file to be published as `name`; raises JobError unless it is one of the job."""
    real = Path(os.path.realpath(path))
    if path.is_symlink() or not real.is_relative_to(directory.resolve()):
        raise JobError("TOOL_FAILED", f"{name} is a link, not a file: it is not published")
    try:
        # a pipe would wait for a writer without O_NONBLOCK
        opened = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise JobError("TOOL_FAILED", f"{name} was not written") from None
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise JobError("TOOL_FAILED", f"{name} is no regular file: it is not published")
    finally:
        os.close(opened)
    return real


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below, one entry at a time: a flood of files must not be in memory to be refused."""
    folders = [(str(directory), 0)]
    while folders:
        folder, depth = folders.pop()
        if depth > DEEPEST:
            raise _refused(f"folders more than {DEEPEST} deep")
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))


def _refused(what: str, where: Path | None = None) -> JobError:
    place = f" ({str(where)!r})" if where else ""
    return JobError("TOOL_FAILED", f"the tool left {what} in its directory{place}: nothing is published")
