"""What DescribeJobs says beyond moto's answer: attempts, reasons, the resources really given."""

from typing import Any

from .batch_specs import command, environment, requirements


def described(job: Any, answer: dict[str, Any]) -> dict[str, Any]:
    definition = job.job_definition
    answer |= {
        "status": job.status,
        "retryStrategy": job.retry_strategy,
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
        "propagateTags": bool(definition.propagate_tags),
        "platformCapabilities": definition.platform_capabilities or ["EC2"],
    }
    if limit := job._get_attempt_duration():
        answer["timeout"] = {"attemptDurationSeconds": limit}
    if "startedAt" in answer and not job.attempts:
        del answer["startedAt"]  # moto's 1970: it failed before it was ever placed
    return answer


def container_details(job: Any) -> dict[str, Any]:
    """In place of batch/models.py: Job._container_details, which adds to the caller's environment each time."""
    properties = job.job_definition.container_properties
    wanted = requirements(job)
    details = {
        "image": properties["image"],
        "privileged": properties.get("privileged", False),
        "readonlyRootFilesystem": properties.get("readonlyRootFilesystem", False),
        "ulimits": properties.get("ulimits", []),
        "volumes": properties.get("volumes", []),
        "command": command(properties, job.container_overrides, {}),  # AWS shows the Ref:: words
        "environment": [{"name": name, "value": value} for name, value in environment(job).items()],
        "mountPoints": properties.get("mountPoints", []),
        "logConfiguration": properties.get("logConfiguration", {}),
        "resourceRequirements": [{"type": kind, "value": value} for kind, value in wanted.items()],
        "vcpus": int(float(wanted.get("VCPU", 1))),
        "memory": int(float(wanted.get("MEMORY", 2048))),
    }
    if "jobRoleArn" in properties:
        details["jobRoleArn"] = properties["jobRoleArn"]
    if job.latest_attempt:
        details |= {key: value for key, value in job.latest_attempt["container"].items() if value is not None}
    return details
