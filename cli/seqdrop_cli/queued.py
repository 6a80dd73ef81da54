"""Explain why a job waits in its queue, from the state and the reason that Batch gives."""

from __future__ import annotations

from seqdrop.text import plain_line

MAX_REASON = 300  # characters
QUOTAS = "the vCPU quotas of the account (docs/deploy.md, step 0)"
# Starts of reasons: https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
CAUSES = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": "AWS has no such instance free, or the job exceeds "
    f"{QUOTAS}. Batch keeps trying for two hours in each queue; more InstanceTypes help.",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": "the job needs more vCPUs than MaxVcpus allows.",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": "no instance of InstanceTypes has the vCPUs and memory of the job.",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED": "an instance of InstanceTypes cannot be started with "
    "the launch template of the stack.",
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": "the service-linked role of Batch lacks a permission.",
    "MISCONFIGURATION:": "the compute environment does not work as it is configured; see its status in Batch.",
}
STARTING = "its instance pulls the image and starts the container."
NO_REASON = (
    "an instance is being started (minutes), jobs before it use MaxVcpus or "
    f"{QUOTAS}, or instances end while they start."
)


def describe(status: str, reason: str) -> str:
    """Return the state of a job that waits, Batch's reason, and the likely cause."""
    shown = f"{status} ({plain_line(reason, MAX_REASON)})" if reason else status
    if status == "STARTING":
        return f"{shown}: {STARTING}"
    cause = next((text for start, text in CAUSES.items() if reason.startswith(start)), NO_REASON)
    return f"{shown}. Likely cause: {cause}"
