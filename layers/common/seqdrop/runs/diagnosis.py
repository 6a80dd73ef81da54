"""Decide what to try next after a failed job, and write it into the plan. Pure: no AWS in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqdrop.failure import advice, classify
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import forms, steps
from seqdrop.text import plain_line

GIVE_UP = "give_up"
MAX_TRIES = 3  # of one step, each with up to three attempts of Batch: bounds the longest path of the state machine
MAX_MEMORY = 1 << 20  # MiB: the largest memory of the instances that Batch selects by itself
# Bounds of what a plan holds of a failure: all steps together stay far below the 256 KiB of an execution.
MAX_LINE, MAX_LINES = 200, 5  # characters of a line; lines of a tool


def diagnose(
    plan: Mapping[str, Any],
    step: str,
    verdict: Verdict | None,
    last_resort_queue: str,
    whole_instance_vcpus: str = "",
    failed: str = "",
) -> dict[str, Any]:
    """Return the plan after a failure of the job `step`, with the next try or the end of the step.

    `failed` is the step that failed in a job with several steps: it gets the failure if the job is given up.

    Moves `error` of the job object to its `failures`, and sets `next` to the name of a state or to `give_up`. The
    same failure class of the same step is retried once.
    """
    failed = failed or step
    job = dict(plan[step])
    cause = BatchCause.parse(job.pop("error"))
    failure_class, message = classify.classify(cause, verdict)
    earlier = list(job.get("failures", []))
    failure = {"class": failure_class, "message": message, "job_id": cause.job_id, "attempts": cause.attempt}
    failure |= {"step": failed} if failed != step else {}
    retry = None
    if (failure_class, failed) not in {(other["class"], other.get("step", step)) for other in earlier} and int(
        job["attempt"]
    ) < MAX_TRIES:
        retry = _retry(step, failure_class, cause, job, last_resort_queue, whole_instance_vcpus)
    if retry is None:
        job["failures"] = [*earlier, failure]
        end = _give_up(step, failed, job["failures"], cause, verdict, sizes=forms.sizes_of(plan, step))
        return {
            **plan,
            step: job,
            failed: {**(job if failed == step else plan[failed]), "gave_up": end},
            "next": GIVE_UP,
        }
    changes, description = retry
    attempt = str(int(job["attempt"]) + 1)
    job |= {**changes, "attempt": attempt, "failures": [*earlier, {**failure, "then": description}]}
    return {**plan, step: job, "next": steps.state(step)}


def _retry(
    step: str,
    failure_class: str,
    cause: BatchCause,
    job: Mapping[str, Any],
    last_resort_queue: str,
    whole_instance_vcpus: str,
) -> tuple[dict[str, str], str] | None:
    """Return the changes for another try and their description; None where the same failure would be repeated."""
    memory = min(int(job["memory"]) * 2, MAX_MEMORY)
    if failure_class == "OUT_OF_MEMORY" and memory > int(job["memory"]):
        return {"memory": str(memory)}, f"memory doubled to {memory} MiB"
    if failure_class == "NO_SPACE" and whole_instance_vcpus:  # the jobs of an instance share its scratch disk
        if steps.is_array(step):
            return _with_larger_children(job, int(whole_instance_vcpus))
        return {"vcpus": whole_instance_vcpus}, f"an instance's whole disk, with {whole_instance_vcpus} vCPUs"
    never_fits = cause.status_reason.startswith(classify.UNPLACEABLE) or cause.error == classify.STATE_TIMEOUT
    waited_there = failure_class == "NOT_PLACED" and job["job_queue"] == last_resort_queue
    if failure_class in {"SPOT_RECLAIMED", "NOT_PLACED"} and not never_fits and not waited_there:
        return {"job_queue": last_resort_queue}, "on-demand instances only"
    if failure_class in {"THROTTLED", "IMAGE_PULL", "HOST_FAILED"}:
        return {}, "the same once more"
    return None


def _with_larger_children(job: Mapping[str, Any], whole_instance_vcpus: int) -> tuple[dict[str, str], str] | None:
    """Return the changes by which half as many children share the disk of an instance; None if each has it alone.

    Not a whole instance for each: there are up to a hundred, and each uses as many processes as it has vCPUs, with
    memory in proportion.
    """
    before = int(job["vcpus"])
    vcpus = min(2 * before, whole_instance_vcpus)
    memory = min(int(job["memory"]) * vcpus // before, MAX_MEMORY)
    if vcpus <= before:
        return None
    changes = {"vcpus": str(vcpus), "memory": str(memory)}
    return changes, f"more of an instance's disk, with {vcpus} vCPUs and {memory} MiB for each child"


def _give_up(
    step: str,
    failed: str,
    failures: Sequence[Mapping[str, Any]],
    cause: BatchCause,
    verdict: Verdict | None,
    *,
    sizes: str,
) -> dict[str, Any]:
    """Return the end of a step, with everything that its user needs to know. The advice names the step of its sizes."""
    last = failures[-1]
    tail = verdict.stderr_tail[-MAX_LINES:] if verdict else ()
    end = {
        "class": last["class"],
        "message": last["message"],
        "advice": advice.get(last["class"], sizes),
        "tool_lines": [plain_line(line, MAX_LINE) for line in tail],
        "log": cause.log,
    }
    # A state machine without record_run (prepare_reference) ends with this text.
    return {**end, "cause": "\n".join(advice.explain({**end, "step": failed, "tried": describe_tries(step, failures)}))}


def describe_tries(step: str, failures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each try of a step, with what was changed for the next; nothing when there was only one."""
    if not any("then" in failure for failure in failures):
        return []
    return [
        _describe_try(f"{failure.get('step', step)}, try {number}", failure)
        for number, failure in enumerate(failures, start=1)
    ]


def _describe_try(name: str, failure: Mapping[str, Any]) -> str:
    attempts = f" ({failure['attempts']} attempts)" if failure.get("attempts", 0) > 1 else ""
    then = f"; then: {failure['then']}" if "then" in failure else ""
    return f"{name}{attempts}: {failure['class']}: {failure['message']}{then}"
