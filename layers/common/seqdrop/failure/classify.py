"""Name the class of a failure and the sentence that explains it. Pure: no AWS in here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqdrop.failure.batch_cause import Ending
from seqdrop.failure.verdict import BAD_DATA, STOPPED_EXIT, TRY_AGAIN, USAGE, Verdict
from seqdrop.text import plain

# Reasons for which no instance will ever do: the same job again would only wait again.
FITS_NOWHERE = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
)
# What an instance says when it cannot start a container: another instance may.
UNSTARTED = (
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
EXITS = {
    USAGE: ("BAD_INPUT.ARGS", "The job refused the words it was given and could not say more."),
    BAD_DATA: ("BAD_INPUT", "The job found its input bad and could not say more."),
    TRY_AGAIN: ("THROTTLED", "The job asked for another try each time and could not say more."),
    # 128 + SIGKILL with nothing said: the kernel, or Docker, for memory
    137: ("OUT_OF_MEMORY", "The job was killed, most likely for using more memory than it was given."),
}
# The general exceptions of Batch (AWSBatchException, BatchException) wrap these too.
TOO_MANY = re.compile(r"Throttl|Too ?Many ?Requests|Status Code: 429")
OUT_OF_ORDER = re.compile(r"Status Code: 5\d\d")
MOST_SENTENCE = 400  # characters


def classify(ending: Ending, verdict: Verdict | None) -> tuple[str, str]:
    """The class of a failure and the sentence that says it: Batch's word where Batch ended it, else the job's own."""
    found = _ended_by_batch(ending) or _ended_by_host(ending, verdict)
    if found is None and verdict is not None:
        found = verdict.failure_class, verdict.message
    failure_class, message = found or _without_verdict(ending)
    return failure_class, plain(message, MOST_SENTENCE)


def _ended_by_batch(ending: Ending) -> tuple[str, str] | None:
    if ending.status_reason.startswith(FITS_NOWHERE):
        size = "lower its vCPUs or memory parameter, or raise MaxVcpus or InstanceTypes."
        return "NOT_PLACED", f"No instance fits the job: {size}"
    if ending.status_reason.startswith(("CAPACITY:", "MISCONFIGURATION:")):
        return "NOT_PLACED", f"The job waited too long for an instance ({ending.status_reason})."
    if "attempt duration exceeded timeout" in ending.status_reason or ending.error == "States.Timeout":
        return "TIMEOUT", "The job ran longer than its time limit and was ended."
    if ending.stopped:
        return "STOPPED", f"The job was stopped: {ending.status_reason or 'no reason was given'}."
    return None


def _ended_by_host(ending: Ending, verdict: Verdict | None) -> tuple[str, str] | None:
    reasons = (ending.reason, ending.status_reason)
    why = ending.reason or ending.status_reason
    # Told to stop and yet nobody stopped it: a host that drains; what is slow to end is killed at last (137).
    told_to_stop = ending.exit_code == STOPPED_EXIT or (verdict is not None and verdict.failure_class == "STOPPED")
    if told_to_stop or _begins(reasons, "Host EC2"):
        return "SPOT_RECLAIMED", "The host was taken away while the job ran, on every attempt."
    if _begins(reasons, "CannotPull"):
        return "IMAGE_PULL", f"The image could not be pulled: {why}"
    if _begins(reasons, "OutOfMemoryError"):
        return "OUT_OF_MEMORY", "The job needed more memory than it was given and was killed."
    if _begins(reasons, *UNSTARTED) and "no space left on device" in why.casefold():
        return "NO_SPACE", f"The instance had no space left to start the job: {why}"
    unstarted = ending.status_reason.startswith("Task failed to start") and ending.exit_code is None
    if unstarted or _begins(reasons, *UNSTARTED) or _lost_agent(ending):
        return "HOST_FAILED", f"The instance could not start the job or keep it: {why}"
    return None


def _begins(reasons: Sequence[str], *starts: str) -> bool:
    return any(reason.startswith(starts) for reason in reasons)


def _lost_agent(ending: Ending) -> bool:
    said = ending.status_reason.casefold()
    return "agent" in said and any(word in said for word in ("lost", "disconnect", "not connected"))


def _without_verdict(ending: Ending) -> tuple[str, str]:
    refusal = "" if ending.job_id else ending.text  # of Batch itself, which took no job
    if "TooManyRequests" in ending.error or TOO_MANY.search(refusal):
        return "THROTTLED", "AWS Batch refused the job because of too many requests."
    if ending.error in {"Batch.ServerException", "Batch.SdkClientException"} or OUT_OF_ORDER.search(refusal):
        return "THROTTLED", f"AWS Batch did not answer as it should, again and again: {ending.text}"
    if "not authorized" in refusal:
        return "DENIED", f"Batch took no job: {ending.text}"
    if ending.exit_code in EXITS:
        return EXITS[ending.exit_code]
    if ending.exit_code is not None:
        return "TOOL_FAILED", f"The job ended with exit code {ending.exit_code} and left no verdict."
    if ending.cut_off:
        return "INTERNAL", "The job failed, and what Batch said of it cannot be read; see the log of the job."
    said = ending.reason or ending.status_reason or ending.text
    return "INTERNAL", f"The job could not be run ({ending.error}): {said or 'nothing was said of it'}"
