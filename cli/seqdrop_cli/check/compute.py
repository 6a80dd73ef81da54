"""Check that Batch takes jobs: its queues and compute environments and, on request, one job that ends at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from seqdrop_cli.check.finding import Finding, Status
from seqdrop_cli.stack import Stack

JOB = "job"
JOB_TIMEOUT = 900  # seconds: an instance starts within five minutes, if there are any
COMMAND = ["run-samtools-stats", "--help"]  # reads nothing, writes nothing
SIZE = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "1024"}]
ENDED = {"SUCCEEDED", "FAILED"}


def check_queues(stack: Stack) -> Iterator[Finding]:
    """Check that every job queue and compute environment is VALID and ENABLED."""
    arns = _queues(stack)
    queues = stack.batch.describe_job_queues(jobQueues=arns)["jobQueues"]
    names, environments = _environments(stack, queues)
    yield _describe("job queues", queues, len(arns), "jobQueueName")
    yield _describe("compute environments", environments, len(names), "computeEnvironmentName")


def max_vcpus(stack: Stack) -> Counter[str]:
    """Return how many vCPUs the compute environments of each kind (EC2, SPOT) may have together."""
    _, environments = _environments(stack, stack.batch.describe_job_queues(jobQueues=_queues(stack))["jobQueues"])
    vcpus = Counter[str]()
    for resources in (environment["computeResources"] for environment in environments):
        vcpus[resources["type"]] += resources["maxvCpus"]
    return vcpus


def _environments(stack: Stack, queues: Any) -> tuple[list[str], Any]:
    """Return the ARNs of the compute environments of some queues, and the descriptions of those that exist."""
    arns = sorted({order["computeEnvironment"] for queue in queues for order in queue["computeEnvironmentOrder"]})
    return arns, stack.batch.describe_compute_environments(computeEnvironments=arns)["computeEnvironments"]


def _describe(check: str, found: Any, expected: int, name: str) -> Finding:
    """Describe the resources that are not usable; those that were deleted are not in the answer."""
    broken = [
        f"{one[name]} is {one['status']}, {one['state']}{': ' if one.get('statusReason') else ''}"
        f"{one.get('statusReason', '')}"
        for one in found
        if (one["status"], one["state"]) != ("VALID", "ENABLED")
    ]
    if len(found) < expected:
        broken.append(f"{expected - len(found)} of {expected} do not exist")
    if broken:
        return Finding(check, Status.failed, "; ".join(broken), "Correct the cause, then deploy the stack again.")
    return Finding(check, Status.ok, f"{expected} VALID and ENABLED")


def check_job(stack: Stack) -> Iterator[Finding]:
    """Submit a job that prints its help and ends: an instance starts, joins, pulls an image and writes a log."""
    submitted = stack.batch.submit_job(
        jobName="check",
        jobQueue=_queues(stack)[0],
        jobDefinition=f"{stack.name}-SamtoolsStats",
        containerOverrides={"command": COMMAND, "resourceRequirements": SIZE},  # type: ignore[typeddict-item]  # plain literals
        retryStrategy={"attempts": 1},
        timeout={"attemptDurationSeconds": 300},
    )
    try:
        job = _wait(stack, submitted["jobId"])
    except KeyboardInterrupt:
        stack.batch.terminate_job(jobId=submitted["jobId"], reason="interrupted")
        raise
    yield _describe_job(stack, job)


def skip_job(_stack: Stack) -> Iterator[Finding]:
    """Say that no job was submitted."""
    yield Finding(JOB, Status.skipped, "none was submitted", "Add --submit: a job of a minute, about a cent on AWS.")


def _wait(stack: Stack, job_id: str) -> Any:
    deadline = time.monotonic() + JOB_TIMEOUT
    while True:
        [job] = stack.batch.describe_jobs(jobs=[job_id])["jobs"]
        if job["status"] in ENDED or time.monotonic() > deadline:
            return job
        time.sleep(stack.pause)


def _describe_job(stack: Stack, job: Any) -> Finding:
    reason = job.get("statusReason") or job.get("container", {}).get("reason") or "Batch gives no reason"
    if job["status"] == "SUCCEEDED":
        return Finding(JOB, Status.ok, "ran and ended with exit code 0")
    if job["status"] == "FAILED":
        return Finding(JOB, Status.failed, f"failed: {reason}", f"See job {job['jobId']} in the console of Batch.")
    stack.batch.terminate_job(jobId=job["jobId"], reason="seqdrop check has waited long enough")
    what = "Check quotas, subnets and instance types; the console of the instance says why it did not join."
    return Finding(JOB, Status.failed, f"still {job['status']} after {JOB_TIMEOUT // 60} minutes: {reason}", what)


def _queues(stack: Stack) -> list[str]:
    return stack["JobQueues"].split(",")
