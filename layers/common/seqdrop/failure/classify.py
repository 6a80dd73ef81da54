"""Determine the class of a failure and the message that explains it. This module makes no AWS calls."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import BAD_DATA_EXIT, RETRY_EXIT, STOPPED_EXIT, USAGE_EXIT, Verdict
from seqdrop.text import plain_line

# Status reasons of a job that fits no instance type: a retry of the same job would wait in vain.
UNPLACEABLE = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
)
# The time limit of a state: that of all attempts of its job, which Batch itself keeps, and seven days in the queue.
STATE_TIMEOUT = "States.Timeout"
# Errors of an instance that cannot start a container; another instance may start it.
START_FAILURES = (
    "CannotCreate",
    "CannotInspect",
    "CannotStart",
    "ContainerNetworkingError",
    "ContainerRuntime",
    "DockerStateError",
    "DockerTimeoutError",
    "ResourceInitializationError",
    "TaskDependencyError",
)
# Class and message by exit code, for a job without a verdict.
BY_EXIT_CODE = {
    USAGE_EXIT: ("BAD_INPUT.ARGS", "The job refused its arguments and left no verdict."),
    BAD_DATA_EXIT: ("BAD_INPUT", "The job refused its input and left no verdict."),
    RETRY_EXIT: ("THROTTLED", "The job asked for a retry on every attempt and left no verdict."),
    # 128 + SIGKILL without a reason: sent by the kernel or by Docker when memory runs out
    137: ("OUT_OF_MEMORY", "The job was killed, probably because it used more memory than its limit."),
}
# Patterns in error texts: Batch's general exceptions (AWSBatchException, BatchException) wrap these errors too.
THROTTLING = re.compile(r"Throttl|Too ?Many ?Requests|Status Code: 429")
SERVER_ERROR = re.compile(r"Status Code: 5\d\d")
MAX_MESSAGE = 400  # characters


def classify(cause: BatchCause, verdict: Verdict | None) -> tuple[str, str]:
    """Return the class and the message: from Batch if Batch ended the job, else from the job's own verdict."""
    failure = _batch_failure(cause) or _host_failure(cause, verdict)
    if failure is None and verdict is not None:
        failure = verdict.failure_class, verdict.message
    failure_class, message = failure or _failure_without_verdict(cause)
    return failure_class, plain_line(message, MAX_MESSAGE)


def _batch_failure(cause: BatchCause) -> tuple[str, str] | None:
    if cause.status_reason.startswith(UNPLACEABLE):
        remedy = "lower its vCPUs or memory parameter, raise MaxVcpus, or add larger InstanceTypes."
        return "NOT_PLACED", f"No instance fits the job: {remedy}"
    if cause.status_reason.startswith(("CAPACITY:", "MISCONFIGURATION:")):
        return "NOT_PLACED", f"The job waited too long for an instance ({cause.status_reason})."
    if cause.error == STATE_TIMEOUT:
        return "NOT_PLACED", "The job waited in its queue for more than seven days and was cancelled."
    if "attempt duration exceeded timeout" in cause.status_reason:
        return "TIMEOUT", "The job ran longer than its time limit and was terminated."
    if cause.stopped:
        return "STOPPED", f"The job was stopped: {cause.status_reason or 'no reason was given'}."
    return None


def _host_failure(cause: BatchCause, verdict: Verdict | None) -> tuple[str, str] | None:
    reasons = (cause.reason, cause.status_reason)
    why = cause.reason or cause.status_reason
    # A stop signal without a stop request comes from a host that drains. A job that ends too slowly is killed (137).
    got_stop_signal = cause.exit_code == STOPPED_EXIT or (verdict is not None and verdict.failure_class == "STOPPED")
    if got_stop_signal or _any_starts_with(reasons, "Host EC2"):
        return "SPOT_RECLAIMED", "The instance was reclaimed while the job ran, on every attempt."
    if _any_starts_with(reasons, "CannotPull"):
        return "IMAGE_PULL", f"The image could not be pulled: {why}"
    if _any_starts_with(reasons, "OutOfMemoryError"):
        return "OUT_OF_MEMORY", "The job used more memory than its limit and was killed."
    if _any_starts_with(reasons, *START_FAILURES) and "no space left on device" in why.casefold():
        return "NO_SPACE", f"The instance had no disk space left to start the job: {why}"
    failed_to_start = cause.status_reason.startswith("Task failed to start") and cause.exit_code is None
    if failed_to_start or _any_starts_with(reasons, *START_FAILURES) or _agent_lost(cause):
        return "HOST_FAILED", f"The instance could not start or run the job: {why}"
    return None


def _any_starts_with(reasons: Sequence[str], *starts: str) -> bool:
    return any(reason.startswith(starts) for reason in reasons)


def _agent_lost(cause: BatchCause) -> bool:
    reason = cause.status_reason.casefold()
    return "agent" in reason and any(word in reason for word in ("lost", "disconnect", "not connected"))


def _failure_without_verdict(cause: BatchCause) -> tuple[str, str]:
    refusal = "" if cause.job_id else cause.text  # Batch did not accept the job
    if "TooManyRequests" in cause.error or THROTTLING.search(refusal):
        return "THROTTLED", "AWS Batch refused the job because of too many requests."
    if cause.error in {"Batch.ServerException", "Batch.SdkClientException"} or SERVER_ERROR.search(refusal):
        return "THROTTLED", f"AWS Batch returned an error on every attempt: {cause.text}"
    if "not authorized" in refusal:
        return "DENIED", f"AWS Batch refused the job: {cause.text}"
    if cause.exit_code in BY_EXIT_CODE:
        return BY_EXIT_CODE[cause.exit_code]
    if cause.exit_code is not None:
        return "TOOL_FAILED", f"The job ended with exit code {cause.exit_code} and left no verdict."
    if cause.truncated:
        return "INTERNAL", "The job failed, and Batch's description of it is incomplete; see the log of the job."
    reason = cause.reason or cause.status_reason or cause.text
    return "INTERNAL", f"The job could not be run ({cause.error}): {reason or 'AWS gave no reason'}"
