"""What to try next when a job has failed: written into the plan, each cure once, or the end of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqdrop.failure import advice, classify
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import Verdict
from seqdrop.text import plain_line

# The state that runs a step: where the machine goes back to for another try.
STATES = {
    "align": "AlignReads",
    "call": "CallVariants",
    "annotate": "AnnotateVariants",
    "collect": "CollectStats",
    "compose": "BuildReport",
    "prepare": "PrepareReference",
}
GIVE_UP = "give_up"
MOST_TRIES = 3  # of one step, each up to three attempts of Batch: bounds the longest path through the machine
MOST_MEMORY = 1 << 20  # MiB: no instance that Batch picks by itself has more
# Bounds of what a plan carries of a failure: all steps' together stay far below the 256 KiB of an execution.
MOST_LINE, MOST_LINES = 200, 5  # characters; lines of a tool


def diagnose(
    plan: Mapping[str, Any],
    step: str,
    verdict: Verdict | None,
    last_resort_queue: str,
    whole_instance_vcpus: str = "",
) -> dict[str, Any]:
    """The plan with the error of `step` understood: the next try written into it, or the end of it.

    Moves `error` of the job object to its `failures`, and sets `next` to a state's name or to `give_up`.
    """
    job = dict(plan[step])
    ending = BatchCause.parse(job.pop("error"))
    failure_class, message = classify.classify(ending, verdict)
    seen = list(job.get("failures", []))
    failed = {"class": failure_class, "message": message, "job_id": ending.job_id, "attempts": ending.attempt}
    cure = None
    if failure_class not in {earlier["class"] for earlier in seen} and int(job["attempt"]) < MOST_TRIES:
        cure = _cure(failure_class, ending, job, last_resort_queue, whole_instance_vcpus)
    if cure is None:
        job["failures"] = [*seen, failed]
        job["gave_up"] = _given_up(step, job["failures"], ending, verdict)
        return {**plan, step: job, "next": GIVE_UP}
    change, words = cure
    job |= {**change, "attempt": str(int(job["attempt"]) + 1), "failures": [*seen, {**failed, "then": words}]}
    return {**plan, step: job, "next": STATES[step]}


def _cure(
    failure_class: str, ending: BatchCause, job: Mapping[str, Any], last_resort_queue: str, whole_instance_vcpus: str
) -> tuple[dict[str, str], str] | None:
    """What to change for another try, and how to say it; None where the same would happen again."""
    memory = min(int(job["memory"]) * 2, MOST_MEMORY)
    if failure_class == "OUT_OF_MEMORY" and memory > int(job["memory"]):
        return {"memory": str(memory)}, f"memory doubled to {memory} MiB"
    if failure_class == "NO_SPACE" and whole_instance_vcpus:  # the scratch disk is shared by an instance's jobs
        return {"vcpus": whole_instance_vcpus}, f"an instance's whole disk, with {whole_instance_vcpus} vCPUs"
    fits_nowhere = ending.status_reason.startswith(classify.UNPLACEABLE)
    waited_there = failure_class == "NOT_PLACED" and job["job_queue"] == last_resort_queue
    if failure_class in {"SPOT_RECLAIMED", "NOT_PLACED"} and not fits_nowhere and not waited_there:
        return {"job_queue": last_resort_queue}, "on-demand instances only"
    if failure_class in {"THROTTLED", "IMAGE_PULL", "HOST_FAILED"}:
        return {}, "the same once more"
    return None


def _given_up(
    step: str, failures: Sequence[Mapping[str, Any]], ending: BatchCause, verdict: Verdict | None
) -> dict[str, Any]:
    """The end of a step, with all that a person wants to know of it."""
    last = failures[-1]
    said = {"class": last["class"], "message": last["message"], "advice": advice.get(last["class"], step)}
    tail = verdict.stderr_tail[-MOST_LINES:] if verdict else ()
    said |= {"tool_lines": [plain_line(line, MOST_LINE) for line in tail], "log": ending.log}
    # A machine without a record (prepare_reference) ends with these very words.
    return {**said, "cause": "\n".join(advice.explain({**said, "step": step, "tried": tries(step, failures)}))}


def tries(step: str, failures: Sequence[Mapping[str, Any]]) -> list[str]:
    """What became of each try of a step, and what was changed for the next; nothing where the first was the last."""
    if not any("then" in failed for failed in failures):
        return []
    return [_try(f"{step}, try {number}", failed) for number, failed in enumerate(failures, start=1)]


def _try(name: str, failed: Mapping[str, Any]) -> str:
    attempts = f" ({failed['attempts']} attempts)" if failed.get("attempts", 0) > 1 else ""
    then = f"; then: {failed['then']}" if "then" in failed else ""
    return f"{name}{attempts}: {failed['class']}: {failed['message']}{then}"
