"""seqdrop.runs.queues: how long jobs wait while none runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.batch.models import Job, batch_backends
from seqdrop.runs import queues
from support.function_aws import ACCOUNT, HIGH_PRIORITY, LAST_RESORT, NORMAL_PRIORITY, REGION, Deployed, client

QUEUES = (NORMAL_PRIORITY, HIGH_PRIORITY, LAST_RESORT)


@pytest.fixture(autouse=True)
def batch(aws: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let jobs stay in the state that a test gives them: moto would run them."""
    assert aws.calls == set()
    monkeypatch.setattr(Job, "start", lambda _: None)
    container = {"image": "tool", "vcpus": 1, "memory": 512}
    client("batch").register_job_definition(jobDefinitionName="d", type="container", containerProperties=container)
    yield
    batch_backends[ACCOUNT][REGION]._jobs.clear()


def submit(queue: str, status: str, hours: float, attempts: tuple[float, ...] = ()) -> None:
    """Submit a job that many hours ago; its earlier attempts ended the given hours ago."""
    now = datetime.now()  # without a zone, as the times of moto
    job: Any = batch_backends[ACCOUNT][REGION].get_job_by_id(
        client("batch").submit_job(jobName="job", jobQueue=queue, jobDefinition="d")["jobId"]
    )
    job.status, job.job_created_at = status, now - timedelta(hours=hours)
    job.attempts = [{"stoppedAt": int((now - timedelta(hours=ago)).timestamp() * 1000)} for ago in attempts]


def longest_wait() -> float:
    return round(queues.longest_wait(QUEUES), 2)


def test_without_jobs_nothing_waits() -> None:
    assert longest_wait() == 0


def test_the_oldest_job_of_all_queues_counts() -> None:
    submit(NORMAL_PRIORITY, "RUNNABLE", 1)
    submit(LAST_RESORT, "RUNNABLE", 3)
    submit(HIGH_PRIORITY, "RUNNABLE", 2)
    assert longest_wait() == 3


@pytest.mark.parametrize("status", ["STARTING", "RUNNING"])
def test_a_long_queue_is_normal_while_a_job_runs(status: str) -> None:
    submit(NORMAL_PRIORITY, "RUNNABLE", 5)
    submit(HIGH_PRIORITY, status, 6)
    assert longest_wait() == 0


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_jobs_that_ended_do_not_count(status: str) -> None:
    submit(NORMAL_PRIORITY, status, 9)
    submit(NORMAL_PRIORITY, "RUNNABLE", 2)
    assert longest_wait() == 2


def test_a_retried_job_waits_since_its_last_attempt_ended() -> None:
    submit(NORMAL_PRIORITY, "RUNNABLE", 9, attempts=(6, 0.5))
    assert longest_wait() == 0.5


def test_more_jobs_than_one_call_describes() -> None:
    for _ in range(queues.MAX_DESCRIBED):
        submit(NORMAL_PRIORITY, "RUNNABLE", 1)
    submit(NORMAL_PRIORITY, "RUNNABLE", 4)
    assert longest_wait() == 4
