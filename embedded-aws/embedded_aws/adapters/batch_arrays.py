"""Array jobs: the status of a parent follows its children, each child is described and listed as on AWS.

moto creates the children (BatchBackend.submit_job, batch/models.py:1941), but never ends a parent of which one failed,
describes no child as such, and lists all jobs of every status (BatchBackend.list_jobs, batch/models.py:1990).
"""

import threading
from typing import Any

from moto.batch.exceptions import ClientException
from moto.batch.models import BatchBackend
from moto.batch.utils import JobStatus

from embedded_aws.patches import patch

SIZES = range(2, 10_001)
ENDED = {"SUCCEEDED", "FAILED"}
CHILD_FAILED = "Array Child Job failed"
_lock = threading.Lock()  # the threads of all children report to their parent
_list_jobs = BatchBackend.list_jobs


def check_size(size: Any) -> None:
    """Raise ClientException for a size that Batch does not accept."""
    if size is not None and size not in SIZES:
        raise ClientException(f"Array size must be between 2 and 10,000, not {size}")


def index(job: Any) -> int | None:
    """Return the index of a child; None for other jobs."""
    number: int | None = job.array_properties.get("index")
    return number


def parent(job: Any) -> Any:
    """Return the parent of a child; None for other jobs."""
    return None if index(job) is None else job.all_jobs[job.job_id.rpartition(":")[0]]


def children(job: Any) -> list[Any]:
    """Return the children of a parent that exist so far; none for other jobs."""
    names = (f"{job.job_id}:{number}" for number in range(job.array_properties.get("size", 0)))
    return [job.all_jobs[name] for name in names if name in job.all_jobs]


def copy_tags(job: Any) -> None:
    """Give a child the tags of its parent."""
    if (array := parent(job)) is not None:
        job.backend.tag_resource(job.arn, job.backend.list_tags_for_resource(array.arn))


def full_name(job: Any) -> str:
    """Return the name by which a fault finds a job: `NAME:INDEX` for a child."""
    return job.job_name if index(job) is None else f"{job.job_name}:{index(job)}"


def report_status(child: Any) -> None:
    """Adapt the status of the parent: PENDING once a child is RUNNABLE, its end after that of the last child."""
    job = parent(child)
    if child.status == JobStatus.RUNNABLE:
        with _lock:
            if job.status == JobStatus.SUBMITTED:
                job.status = JobStatus.PENDING
    elif child.status in ENDED:
        _end(job)


def _end(job: Any) -> None:
    states = [child.status for child in children(job)]
    with _lock:
        if job.job_stopped or len(states) < job.array_properties["size"] or not ENDED.issuperset(states):
            return
        failed = "FAILED" in states
        if failed and job.job_stopped_reason is None:
            job.job_stopped_reason = CHILD_FAILED
        job._mark_stopped(success=not failed)


def properties(job: Any) -> dict[str, Any]:
    """Return the arrayProperties of a job in a list: the index of a child, the size of a parent."""
    return {key: value for key, value in job.array_properties.items() if key in {"index", "size"}}


def _list(self: Any, job_queue_name: str | None, array_job_id: str | None, *args: Any, **more: Any) -> list[Any]:
    """List RUNNING jobs unless a status or a filter is named, and children with their parent alone."""
    if not more.get("filters"):
        more["job_status"] = more.get("job_status") or "RUNNING"
    jobs: list[Any] = _list_jobs(self, job_queue_name, array_job_id, *args, **more)
    return [job for job in jobs if array_job_id or index(job) is None]


def install() -> None:
    """Patch moto."""
    patch(BatchBackend, "list_jobs", _list, source="805353e9")
