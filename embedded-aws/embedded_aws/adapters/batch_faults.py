"""Faults of jobs: what each one does to the job, and what Batch reports."""

import uuid

from embedded_aws.faults import AttemptFault
from embedded_aws.runners import Attempt, JobSpec, StartError

from .batch_retries import EXITED, AttemptResult

KILLED = 137  # 128 + SIGKILL


def cancel_in_queue(attempt_fault: AttemptFault) -> AttemptResult | None:
    """Return the result of a job that the queue's time limit cancels, for the fault `not_placed`."""
    if attempt_fault.fault is None or not attempt_fault.is_kind("not_placed"):
        return None
    attempt_fault.injected = True
    return AttemptResult(None, attempt_fault.fault.reason, final=True)


def fail_start(attempt_fault: AttemptFault, spec: JobSpec) -> None:
    """Raise StartError for the fault `image_pull`."""
    if attempt_fault.is_kind("image_pull"):
        attempt_fault.injected = True
        retried = "pull image manifest has been retried 5 time(s)"
        raise StartError(f"CannotPullContainerError: {retried}: failed to resolve ref {spec.image}: not found")


def time_limit(attempt_fault: AttemptFault) -> float | None:
    """Return the time limit in seconds that the fault `hang` sets, if it sets one."""
    return attempt_fault.fault.limit if attempt_fault.fault else None


def inject(attempt_fault: AttemptFault, attempt: Attempt) -> AttemptResult | None:
    """Inject a fault into a running attempt; return its result, or None if Batch would notice nothing."""
    attempt_fault.injected = True
    if attempt_fault.is_kind("hang"):
        attempt.freeze()
        return None
    if attempt_fault.is_kind("host_drained"):
        attempt.stop()
        return AttemptResult(attempt.exit_code(), EXITED, attempt.reason())
    attempt.kill()
    if attempt_fault.is_kind("out_of_memory"):
        return AttemptResult(KILLED, EXITED, "OutOfMemoryError: Container killed due to memory usage")
    return AttemptResult(None, f"Host EC2 (instance i-{uuid.uuid4().hex[:17]}) terminated.")
