"""The answer of DescribeJobs with the attempts, reasons and resources that moto omits.

Replaces BatchBackend.describe_jobs (batch/models.py:1972), which reads all jobs, and fails if another thread submits
one meanwhile.
"""

from typing import Any

from moto.batch.models import BatchBackend

from embedded_aws.patches import patch

from .batch_specs import command, environment, requirements


def _describe_jobs(self: Any, jobs: list[str] | None) -> list[dict[str, Any]]:
    """Describe the jobs with these ids or ARNs, in this order; those that do not exist are omitted."""
    described = (self._jobs.get(identifier.rpartition("/")[2]) for identifier in jobs or ())
    return [job.describe() for job in described if job]


def install() -> None:
    """Patch moto."""
    patch(BatchBackend, "describe_jobs", _describe_jobs, source="2e4cbb29")


def describe(job: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """Complete moto's answer."""
    definition = job.job_definition
    answer |= {
        "status": job.status,
        "retryStrategy": job.retry_strategy,
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
        "propagateTags": bool(definition.propagate_tags),
        "platformCapabilities": definition.platform_capabilities or ["EC2"],
        "attempts": [attempt for attempt in job.attempts if "stoppedAt" in attempt],  # AWS lists those that have ended
    }
    if limit := job._get_attempt_duration():
        answer["timeout"] = {"attemptDurationSeconds": limit}
    if "startedAt" in answer and not job.attempts:
        del answer["startedAt"]  # moto's 1970-01-01: the job failed before an attempt
    return answer


def container_details(job: Any) -> dict[str, Any]:
    """Return the container of a job. moto appends to the environment at each call (Job._container_details)."""
    properties = job.job_definition.container_properties
    resources = requirements(job)
    details = {
        "image": properties["image"],
        "privileged": properties.get("privileged", False),
        "readonlyRootFilesystem": properties.get("readonlyRootFilesystem", False),
        "ulimits": properties.get("ulimits", []),
        "volumes": properties.get("volumes", []),
        "command": command(properties, job.container_overrides, {}),  # AWS shows Ref:: parameters unresolved
        "environment": [{"name": name, "value": value} for name, value in environment(job).items()],
        "mountPoints": properties.get("mountPoints", []),
        "logConfiguration": properties.get("logConfiguration", {}),
        "resourceRequirements": [{"type": kind, "value": value} for kind, value in resources.items()],
        "vcpus": int(float(resources.get("VCPU", 1))),
        "memory": int(float(resources.get("MEMORY", 2048))),
    }
    if "jobRoleArn" in properties:
        details["jobRoleArn"] = properties["jobRoleArn"]
    if job.latest_attempt:
        details |= {key: value for key, value in job.latest_attempt["container"].items() if value is not None}
    return details
