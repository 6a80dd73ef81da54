"""Check the files that a tool wrote before any of them is published."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from seqdrop.failure.verdict import JobError

MAX_FILES = 100_000  # of a step; Strelka writes some thousands
MAX_DEPTH = 64  # nested folders
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def check_directory(directory: Path) -> None:
    """Raise JobError for links that point outside the directory, pipes, sockets, devices, and too many files."""
    root = directory.resolve()
    for number, entry in enumerate(_entries(directory), start=1):
        if number > MAX_FILES:
            raise _refused(f"more than {MAX_FILES} files")
        mode = entry.stat(follow_symlinks=False).st_mode
        kind = KINDS.get(stat.S_IFMT(mode))
        if kind:
            raise _refused(kind, Path(entry.path).relative_to(directory))
        if stat.S_ISLNK(mode) and not Path(os.path.realpath(entry.path)).is_relative_to(root):
            raise _refused("a link that points outside its directory", Path(entry.path).relative_to(directory))


def resolve_output(path: Path, directory: Path, name: str) -> Path:
    """Return the resolved path of the output `name`; raise JobError unless it is a regular file of this job."""
    real = Path(os.path.realpath(path))
    if path.is_symlink() or not real.is_relative_to(directory.resolve()):
        raise JobError("TOOL_FAILED", f"{name} is a link, not a file: it is not published")
    try:
        # O_NONBLOCK: opening a pipe waits for a writer otherwise.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise JobError("TOOL_FAILED", f"{name} was not written") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise JobError("TOOL_FAILED", f"{name} is not a regular file: it is not published")
    finally:
        os.close(descriptor)
    return real


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every file and folder below, one at a time: too many of them must not fill the memory."""
    folders = [(str(directory), 0)]
    while folders:
        folder, depth = folders.pop()
        if depth > MAX_DEPTH:
            raise _refused(f"folders more than {MAX_DEPTH} deep")
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))


def _refused(reason: str, path: Path | None = None) -> JobError:
    location = f" ({str(path)!r})" if path else ""
    return JobError("TOOL_FAILED", f"the tool left {reason}{location}: nothing is published")
