"""Faults of jobs, by order of a faults file: what Batch says, and does to the job, in each."""

import uuid

from embedded_aws.faults import Mishap
from embedded_aws.runners import Attempt, JobSpec, StartError

from .batch_retries import EXITED, Ending

KILLED = 137  # 128 + SIGKILL


def unplaced(mishap: Mishap) -> Ending | None:
    """A queue's time limit has cancelled the job before it had an attempt."""
    if mishap.fault is None or not mishap.called("not_placed"):
        return None
    mishap.struck = True
    return Ending(None, mishap.fault.reason, final=True)


def before_start(mishap: Mishap, spec: JobSpec) -> None:
    """Raises StartError."""
    if mishap.called("image_pull"):
        mishap.struck = True
        tried = "pull image manifest has been retried 5 time(s)"
        raise StartError(f"CannotPullContainerError: {tried}: failed to resolve ref {spec.image}: not found")


def own_limit(mishap: Mishap) -> float | None:
    """Seconds after which an attempt that hangs by order has used up its time."""
    return mishap.fault.limit if mishap.fault else None


def strike(mishap: Mishap, running: Attempt) -> Ending | None:
    """None where the attempt goes on, as far as Batch can see."""
    mishap.struck = True
    if mishap.called("hang"):
        running.freeze()
        return None
    if mishap.called("host_drained"):
        running.stop()
        return Ending(running.exit_code(), EXITED, running.reason())
    running.kill()
    if mishap.called("out_of_memory"):
        return Ending(KILLED, EXITED, "OutOfMemoryError: Container killed due to memory usage")
    return Ending(None, f"Host EC2 (instance i-{uuid.uuid4().hex[:17]}) terminated.")
