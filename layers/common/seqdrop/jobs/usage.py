"""Measure what a job uses of its instance, for its price and for the sizes of later jobs."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdrop.jobs import reference_cache

HOST = ".seqdrop-instance.json"  # on the scratch disk, written when the instance starts


@dataclass
class Usage:
    """The CPU time of a job, and the largest size of its directory at a few moments, in bytes."""

    directory: Path
    scratch: int = 0  # without shared files
    shared: int = 0  # files of the reference cache, which all jobs of the instance have once

    def measure_scratch(self) -> None:
        """Measure the directory: before each output is published, and when the job ends."""
        with contextlib.suppress(OSError):
            own, shared = _sizes(self.directory)
            self.scratch, self.shared = max(self.scratch, own), max(self.shared, shared)

    def to_json(self) -> dict[str, Any]:
        """Return CPU seconds of all processes, MiB of the scratch disk, own and shared, and, on AWS, the instance."""
        self.measure_scratch()
        times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        used = {
            "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in times), 1),
            "scratch": -(-self.scratch >> 20),
            "shared": -(-self.shared >> 20),
        }
        host = read_host()
        return {**used, "host": host} if host else used


def read_host() -> dict[str, Any]:
    """Return the type, life cycle, zone, vCPUs and memory (MiB) of the instance; nothing on another machine."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        host = json.loads((Path(os.environ["SEQDROP_SCRATCH"]) / HOST).read_text())
        return host if isinstance(host, dict) else {}
    return {}


def _sizes(directory: Path) -> tuple[int, int]:
    """Return the bytes that the files below a directory have on the disk: its own, and links to the reference cache."""
    own, shared, folders = 0, 0, [str(directory)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                status = entry.stat(follow_symlinks=False)
                size, is_shared = status.st_blocks * 512, reference_cache.is_shared(status)
                own, shared = own + size * (not is_shared), shared + size * is_shared
    return own, shared
