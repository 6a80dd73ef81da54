"""dependsOn, with both types for array jobs. moto polls once a second, and handles N_TO_N as a plain dependency."""

from collections.abc import Iterator
from typing import Any


def state(job: Any) -> str:
    """Return "waiting", "met" or "failed"."""
    states = [other.status for other in _dependencies(job)]
    if "FAILED" in states:
        return "failed"
    return "met" if all(status == "SUCCEEDED" for status in states) else "waiting"


def _dependencies(job: Any) -> Iterator[Any]:
    index = job.array_properties.get("index")
    for dependency in job.depends_on or []:
        name = dependency.get("jobId", "")
        if index is not None and dependency.get("type") == "SEQUENTIAL":
            name = f"{job.job_id.split(':')[0]}:{index - 1}"
        elif index is not None and dependency.get("type") == "N_TO_N":
            name = f"{name}:{index}"
        if name in job.all_jobs:
            yield job.all_jobs[name]
