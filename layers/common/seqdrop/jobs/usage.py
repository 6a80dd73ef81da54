"""Measure what a job uses of its instance, for its price and for the sizes of later jobs."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = ".seqdrop-instance.json"  # on the scratch disk, written when the instance starts


@dataclass
class Usage:
    """The CPU time of a job, and the largest size of its directory at a few moments."""

    directory: Path
    scratch: int = 0  # bytes

    def measure_scratch(self) -> None:
        """Measure the directory: before each output is published, and when the job ends."""
        with contextlib.suppress(OSError):
            self.scratch = max(self.scratch, _size(self.directory))

    def to_json(self) -> dict[str, Any]:
        """Return CPU seconds of all processes, MiB of the scratch disk and, on AWS, the instance."""
        self.measure_scratch()
        times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        used = {
            "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in times), 1),
            "scratch": -(-self.scratch >> 20),
        }
        host = read_host()
        return {**used, "host": host} if host else used


def read_host() -> dict[str, Any]:
    """Return the type, life cycle, zone, vCPUs and memory (MiB) of the instance; nothing on another machine."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        host = json.loads((Path(os.environ["SEQDROP_SCRATCH"]) / HOST).read_text())
        return host if isinstance(host, dict) else {}
    return {}


def _size(directory: Path) -> int:
    """Return the bytes that the files below a directory have on the disk."""
    total, folders = 0, [str(directory)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
