"""Find the child of an array job that failed: Step Functions reports its parent alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seqdrop.failure.batch_cause import BatchCause
from seqdrop.runs import queues

OTHERS_NAMES = {"options", "parameters", "tags"}  # of objects whose names are not those of Batch


def error_of_child(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the error as it would be for the failed child; the same one unless a child of an array job has failed.

    Of several, it is that with the lowest index: the next try runs those without a receipt again.
    """
    cause = BatchCause.parse(error)
    if not cause.array_size or cause.stopped:
        return error
    request: Any = {"arrayJobId": cause.job_id, "jobStatus": "FAILED"}
    pages = queues.client().get_paginator("list_jobs").paginate(**request)
    failed = [job for page in pages for job in page["jobSummaryList"]]
    if not failed:
        return error
    first = min(failed, key=lambda job: job["arrayProperties"]["index"])
    [job] = queues.client().describe_jobs(jobs=[first["jobId"]])["jobs"]
    return {"Error": error.get("Error", ""), "Cause": json.dumps(_as_step_functions_writes(job))}


def _as_step_functions_writes(value: Any) -> Any:
    """Return a description of Batch with the names as in the cause of an error: `jobId` is `JobId` there."""
    if isinstance(value, dict):
        return {
            name[:1].upper() + name[1:]: item if name in OTHERS_NAMES else _as_step_functions_writes(item)
            for name, item in value.items()
        }
    return [_as_step_functions_writes(item) for item in value] if isinstance(value, list) else value
