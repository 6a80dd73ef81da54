"""Measure how long the jobs of this deployment wait in their queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from time import time
from typing import TYPE_CHECKING

from seqdrop import aws

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_batch.literals import JobStatusType
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

MAX_DESCRIBED = 100  # jobs of one DescribeJobs call


@cache
def client() -> BatchClient:
    """Return the Batch client of this process."""
    return aws.client("batch")


def longest_wait(queues: Iterable[str]) -> float:
    """Return the hours that the oldest RUNNABLE job has waited; 0 while any job starts or runs.

    A long queue is normal while its jobs run. That all wait means that no instance starts, or that none survives its
    start.
    """
    queues = list(queues)
    if any(_jobs(queue, status) for queue in queues for status in ("STARTING", "RUNNING")):
        return 0.0
    waiting = [job for queue in queues for job in _jobs(queue, "RUNNABLE")]
    return max((time() - since / 1000 for since in map(_waits_since, describe(waiting))), default=0.0) / 3600


def _jobs(queue: str, status: JobStatusType) -> list[str]:
    pages = client().get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status)
    return [job["jobId"] for page in pages for job in page["jobSummaryList"]]


def describe(jobs: Iterable[str]) -> Iterator[JobDetailTypeDef]:
    """Yield the descriptions of the jobs with these ids that Batch still has."""
    ids = list(jobs)
    for start in range(0, len(ids), MAX_DESCRIBED):
        yield from client().describe_jobs(jobs=ids[start : start + MAX_DESCRIBED])["jobs"]


def _waits_since(job: JobDetailTypeDef) -> int:
    """Return the time in milliseconds at which a job was submitted, or its last attempt ended."""
    return max([job["createdAt"], *(attempt.get("stoppedAt", 0) for attempt in job.get("attempts", []))])
