"""Name the class of a failure and the sentence that explains it. Pure: no AWS in here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import BAD_DATA_EXIT, RETRY_EXIT, STOPPED_EXIT, USAGE_EXIT, Verdict
from seqdrop.text import plain_line

# Reasons for which no instance will ever do: the same job again would only wait again.
UNPLACEABLE = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
)
# What an instance says when it cannot start a container: another instance may.
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
# What a job's exit code says where its verdict is missing.
BY_EXIT_CODE = {
    USAGE_EXIT: ("BAD_INPUT.ARGS", "The job refused the words it was given and could not say more."),
    BAD_DATA_EXIT: ("BAD_INPUT", "The job found its input bad and could not say more."),
    RETRY_EXIT: ("THROTTLED", "The job asked for another try each time and could not say more."),
    # 128 + SIGKILL with nothing said: the kernel, or Docker, for memory
    137: ("OUT_OF_MEMORY", "The job was killed, most likely for using more memory than it was given."),
}
# The general exceptions of Batch (AWSBatchException, BatchException) wrap these too.
THROTTLING = re.compile(r"Throttl|Too ?Many ?Requests|Status Code: 429")
SERVER_ERROR = re.compile(r"Status Code: 5\d\d")
MAX_MESSAGE = 400  # characters


def classify(cause: BatchCause, verdict: Verdict | None) -> tuple[str, str]:
    """The class of a failure and the sentence that says it: Batch's word where Batch ended it, else the job's own."""
    found = _batch_failure(cause) or _host_failure(cause, verdict)
    if found is None and verdict is not None:
        found = verdict.failure_class, verdict.message
    failure_class, message = found or _failure_without_verdict(cause)
    return failure_class, plain_line(message, MAX_MESSAGE)


def _batch_failure(cause: BatchCause) -> tuple[str, str] | None:
    if cause.status_reason.startswith(UNPLACEABLE):
        size = "lower its vCPUs or memory parameter, or raise MaxVcpus or InstanceTypes."
        return "NOT_PLACED", f"No instance fits the job: {size}"
    if cause.status_reason.startswith(("CAPACITY:", "MISCONFIGURATION:")):
        return "NOT_PLACED", f"The job waited too long for an instance ({cause.status_reason})."
    if "attempt duration exceeded timeout" in cause.status_reason or cause.error == "States.Timeout":
        return "TIMEOUT", "The job ran longer than its time limit and was ended."
    if cause.stopped:
        return "STOPPED", f"The job was stopped: {cause.status_reason or 'no reason was given'}."
    return None


def _host_failure(cause: BatchCause, verdict: Verdict | None) -> tuple[str, str] | None:
    reasons = (cause.reason, cause.status_reason)
    why = cause.reason or cause.status_reason
    # Told to stop and yet nobody stopped it: a host that drains; what is slow to end is killed at last (137).
    stop_signal = cause.exit_code == STOPPED_EXIT or (verdict is not None and verdict.failure_class == "STOPPED")
    if stop_signal or _any_starts_with(reasons, "Host EC2"):
        return "SPOT_RECLAIMED", "The host was taken away while the job ran, on every attempt."
    if _any_starts_with(reasons, "CannotPull"):
        return "IMAGE_PULL", f"The image could not be pulled: {why}"
    if _any_starts_with(reasons, "OutOfMemoryError"):
        return "OUT_OF_MEMORY", "The job needed more memory than it was given and was killed."
    if _any_starts_with(reasons, *START_FAILURES) and "no space left on device" in why.casefold():
        return "NO_SPACE", f"The instance had no space left to start the job: {why}"
    unstarted = cause.status_reason.startswith("Task failed to start") and cause.exit_code is None
    if unstarted or _any_starts_with(reasons, *START_FAILURES) or _agent_lost(cause):
        return "HOST_FAILED", f"The instance could not start the job or keep it: {why}"
    return None


def _any_starts_with(reasons: Sequence[str], *starts: str) -> bool:
    return any(reason.startswith(starts) for reason in reasons)


def _agent_lost(cause: BatchCause) -> bool:
    said = cause.status_reason.casefold()
    return "agent" in said and any(word in said for word in ("lost", "disconnect", "not connected"))


def _failure_without_verdict(cause: BatchCause) -> tuple[str, str]:
    refusal = "" if cause.job_id else cause.text  # of Batch itself, which took no job
    if "TooManyRequests" in cause.error or THROTTLING.search(refusal):
        return "THROTTLED", "AWS Batch refused the job because of too many requests."
    if cause.error in {"Batch.ServerException", "Batch.SdkClientException"} or SERVER_ERROR.search(refusal):
        return "THROTTLED", f"AWS Batch did not answer as it should, again and again: {cause.text}"
    if "not authorized" in refusal:
        return "DENIED", f"Batch took no job: {cause.text}"
    if cause.exit_code in BY_EXIT_CODE:
        return BY_EXIT_CODE[cause.exit_code]
    if cause.exit_code is not None:
        return "TOOL_FAILED", f"The job ended with exit code {cause.exit_code} and left no verdict."
    if cause.truncated:
        return "INTERNAL", "The job failed, and what Batch said of it cannot be read; see the log of the job."
    said = cause.reason or cause.status_reason or cause.text
    return "INTERNAL", f"The job could not be run ({cause.error}): {said or 'nothing was said of it'}"
