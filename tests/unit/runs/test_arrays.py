"""seqdrop.runs.arrays: the child of an array job that failed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.runs import arrays, queues

SIZE = {"ArrayProperties": {"Size": 3}}
CHILDREN = {
    "j:2": {"status": "FAILED", "attempts": [{"container": {"exitCode": 65}}]},
    "j:1": {
        "status": "FAILED",
        "statusReason": "Essential container in task exited",
        "attempts": [{}, {"container": {"exitCode": 137, "reason": "OutOfMemoryError: killed"}}],
        "container": {"logStreamName": "joint/default/1", "logConfiguration": {"options": {"awslogs-group": "/jobs"}}},
    },
    "j:0": {"status": "SUCCEEDED", "attempts": []},
}


class Batch:
    """The answers of Batch about the children of the job `j`."""

    def get_paginator(self, operation: str) -> Batch:
        assert operation == "list_jobs"
        return self

    def paginate(self, arrayJobId: str, jobStatus: str) -> list[dict[str, Any]]:  # noqa: N803  names in boto3
        children = {name: job for name, job in CHILDREN.items() if name.startswith(f"{arrayJobId}:")}
        found = [name for name, job in children.items() if job["status"] == jobStatus]
        return [{"jobSummaryList": [self._array(name)]} for name in found]

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        return {"jobs": [{**self._array(name), **CHILDREN[name]} for name in jobs]}

    def _array(self, name: str) -> dict[str, Any]:
        return {"jobId": name, "arrayProperties": {"index": int(name[-1])}}


@pytest.fixture(autouse=True)
def _batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "client", Batch)


def error(**job: Any) -> dict[str, str]:
    return {"Error": "States.TaskFailed", "Cause": json.dumps({"JobId": "j", "Status": "FAILED", **job})}


def test_the_error_of_an_array_job_is_that_of_its_first_failed_child() -> None:
    cause = BatchCause.parse(arrays.error_of_child(error(**SIZE, StatusReason="Array Child Job failed")))
    assert cause == BatchCause(
        job_id="j:1",
        attempt=2,
        exit_code=137,
        status_reason="Essential container in task exited",
        reason="OutOfMemoryError: killed",
        log="/jobs joint/default/1",
        error="States.TaskFailed",
        array_index=1,
    )


@pytest.mark.parametrize(
    "job",
    [{}, {**SIZE, "IsTerminated": True}, {**SIZE, "JobId": "gone"}],
    ids=["another job", "a stopped one", "one whose children are gone"],
)
def test_any_other_error_stays_as_it_is(job: dict[str, Any]) -> None:
    given = error(**job)
    assert arrays.error_of_child(given) is given
