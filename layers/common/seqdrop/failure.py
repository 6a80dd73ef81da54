"""What a failure is called, what it means to a person, and whether another try can help. Pure: no AWS in here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# Exit codes of a job: the words of sysexits.h, and 128 + SIGTERM.
USAGE, BAD_DATA, INTERNAL_EXIT, TRY_AGAIN, STOPPED_EXIT = 64, 65, 70, 75, 143

ADVICE = {
    "BAD_INPUT": "Send the files again as they left the sequencer; the same bytes will fail again.",
    "BAD_INPUT.ARGS": "Correct the words chosen for this step, then drop the reads again.",
    "BAD_INPUT.CHOICES": "Correct what was chosen on the FASTQs (x-amz-meta-seqdrop-*), then upload them again.",
    "BAD_INPUT.SAME_FILE": "One file was given as both mates: upload the other one.",
    "BAD_INPUT.SWAPPED": "The mates have each other's names: rename them, then upload them again.",
    "BAD_INPUT.MISSING": "Upload the file again; it must stay until its run is over.",
    "REFERENCE": "Prepare it with `seqdrop reference`, or choose one that is there (x-amz-meta-seqdrop-reference).",
    "NOT_READY": "Push the images, deploy, then drop the reads again.",
    "OUT_OF_MEMORY": "Give this step more memory: raise its memory parameter of the stack.",
    "NO_SPACE": "Give jobs a larger scratch disk: raise the scratch parameter of the stack.",
    "SPOT_RECLAIMED": "Spot hosts were taken back again and again: drop the reads again, or set SpotShare=never.",
    "IMAGE_PULL": "The job's image could not be pulled: push the images of this stack, then drop the reads again.",
    "THROTTLED": "AWS refused calls because there were too many: try again later.",
    "NOT_PLACED": "No instance could be had for this job: see the size of the step and the vCPU limit of the stack.",
    "TIMEOUT": "The job ran longer than its limit: look at its log, and raise the limit if it was working.",
    "STOPPED": "Somebody stopped this run; drop the reads again to start it anew.",
    "TOOL_FAILED": "Look at the tool's last lines and at its log.",
    "INTERNAL": "This is a fault of the pipeline: please report it with the log of this step.",
}
# The state that runs a step: where the machine goes back to for another try.
STATES = {
    "align": "AlignReads",
    "call": "CallVariants",
    "annotate": "AnnotateVariants",
    "collect": "CollectStats",
    "compose": "BuildReport",
    "prepare": "PrepareReference",
}
# How Batch begins to say that a queue's time limit ended a job; the reason follows.
QUEUE_LIMIT = "Canceled by JobStateTimeLimit action due to reason: "
# Reasons for which no instance will ever do: the same job again would only wait again.
FITS_NOWHERE = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
)
GIVE_UP = "give_up"
MOST_TRIES = 3  # of one step, each up to three attempts of Batch: bounds the longest path through the machine


class JobError(Exception):
    """A job cannot go on, and knows why: the class of it and a sentence for a person."""

    exit_code = INTERNAL_EXIT

    def __init__(self, failure_class: str, message: str) -> None:
        super().__init__(message)
        self.failure_class = failure_class


class BadInputError(JobError):
    """The reads or the genome are not what they should be; another try reads the same bytes."""

    exit_code = BAD_DATA

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind if kind == "REFERENCE" else f"BAD_INPUT.{kind}", message)


class UsageError(JobError):
    """The plan asks for what the tool's wrapper does not allow."""

    exit_code = USAGE

    def __init__(self, message: str) -> None:
        super().__init__("BAD_INPUT.ARGS", message)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one attempt of a job failed, as the job itself saw it."""

    failure_class: str
    message: str
    tool: str = ""
    exit_code: int = INTERNAL_EXIT
    stderr_tail: tuple[str, ...] = ()
    peak_memory: int = 0  # MiB
    job_id: str = ""

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        return {"class": fields.pop("failure_class"), **fields, "advice": advice(self.failure_class)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Verdict:
        known = {name: value[name] for name in ("message", "tool", "exit_code", "peak_memory", "job_id")}
        return cls(value["class"], stderr_tail=tuple(value["stderr_tail"]), **known)


def advice(failure_class: str) -> str:
    return ADVICE.get(failure_class) or ADVICE[failure_class.split(".", maxsplit=1)[0]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How Batch says a job ended: what can be read from the `Cause` of a failed task."""

    job_id: str = ""
    attempt: int = 0  # Batch's own count, from 1; 0 when none started
    exit_code: int | None = None
    status_reason: str = ""
    reason: str = ""
    stopped: bool = False
    error: str = ""  # the error name of Step Functions
    text: str = field(default="", repr=False)

    @classmethod
    def parse(cls, error: Mapping[str, Any]) -> Ending:
        """`Cause` is Batch's description of the job in JSON, or a sentence when the API itself failed."""
        name, text = str(error.get("Error", "")), str(error.get("Cause", ""))
        try:
            job = json.loads(text)
        except ValueError:
            job = None
        if not isinstance(job, dict):
            return cls(error=name, text=text)
        attempts = job.get("Attempts") or []
        last = attempts[-1] if attempts else {}
        container = {**job.get("Container", {}), **last.get("Container", {})}
        return cls(
            job_id=job.get("JobId", ""),
            attempt=len(attempts),
            exit_code=container.get("ExitCode"),
            status_reason=(job.get("StatusReason") or last.get("StatusReason", "")).removeprefix(QUEUE_LIMIT),
            reason=container.get("Reason", ""),
            stopped=bool(job.get("IsTerminated") or job.get("IsCancelled")),
            error=name,
            text=text,
        )


def classify(ending: Ending, verdict: Verdict | None) -> tuple[str, str]:
    """The class of a failure and the sentence that says it: Batch's word where Batch ended it, else the job's own."""
    placed = _not_placed(ending)
    if placed:
        return "NOT_PLACED", placed
    if "attempt duration exceeded timeout" in ending.status_reason or ending.error == "States.Timeout":
        return "TIMEOUT", "The job ran longer than its time limit and was ended."
    if ending.stopped:
        return "STOPPED", f"The job was stopped: {ending.status_reason or 'no reason was given'}."
    if ending.status_reason.startswith("Host EC2") or ending.exit_code == STOPPED_EXIT:
        return "SPOT_RECLAIMED", "The host was taken away while the job ran, on every attempt."
    if ending.reason.startswith("CannotPull"):
        return "IMAGE_PULL", f"The image could not be pulled: {ending.reason}"
    if ending.reason.startswith("OutOfMemoryError"):
        return "OUT_OF_MEMORY", "The job needed more memory than it was given and was killed."
    if verdict is not None:
        return verdict.failure_class, verdict.message
    return _without_verdict(ending)


def _not_placed(ending: Ending) -> str:
    if ending.status_reason.startswith(FITS_NOWHERE):
        return "No instance fits the job: lower its vCPUs or memory parameter, or raise MaxVcpus or InstanceTypes."
    if ending.status_reason.startswith(("CAPACITY:", "MISCONFIGURATION:")):
        return f"The job waited too long for an instance ({ending.status_reason})."
    return ""


def _without_verdict(ending: Ending) -> tuple[str, str]:
    if "TooManyRequests" in ending.error or (not ending.job_id and "Throttl" in ending.text):
        return "THROTTLED", "AWS Batch refused the job because of too many requests."
    if ending.exit_code == 137:  # 128 + SIGKILL with nothing said: the kernel, or Docker, for memory
        return "OUT_OF_MEMORY", "The job was killed, most likely for using more memory than it was given."
    if ending.exit_code is not None:
        return "TOOL_FAILED", f"The job ended with exit code {ending.exit_code} and left no verdict."
    return "INTERNAL", f"The job could not be run ({ending.error}): {ending.reason or ending.text[:300]}"


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
    ending = Ending.parse(job.pop("error"))
    failure_class, message = classify(ending, verdict)
    seen = list(job.get("failures", []))
    job["failures"] = [*seen, {"class": failure_class, "message": message, "job_id": ending.job_id}]
    change = None
    if failure_class not in {earlier["class"] for earlier in seen} and int(job["attempt"]) < MOST_TRIES:
        change = _cure(failure_class, ending, job, last_resort_queue, whole_instance_vcpus)
    if change is None:
        job["gave_up"] = {"class": failure_class, "message": message, "advice": advice(failure_class)}
        return {**plan, step: job, "next": GIVE_UP}
    job |= {**change, "attempt": str(int(job["attempt"]) + 1)}
    return {**plan, step: job, "next": STATES[step]}


def _cure(
    failure_class: str, ending: Ending, job: Mapping[str, Any], last_resort_queue: str, whole_instance_vcpus: str
) -> dict[str, str] | None:
    """What to change for another try; None where the same would happen again."""
    if failure_class == "OUT_OF_MEMORY":
        return {"memory": str(int(job["memory"]) * 2)}
    if failure_class == "NO_SPACE" and whole_instance_vcpus:  # the scratch disk is shared by an instance's jobs
        return {"vcpus": whole_instance_vcpus}
    fits_nowhere = ending.status_reason.startswith(FITS_NOWHERE)
    waited_there = failure_class == "NOT_PLACED" and job["job_queue"] == last_resort_queue
    if failure_class in {"SPOT_RECLAIMED", "NOT_PLACED"} and not fits_nowhere and not waited_there:
        return {"job_queue": last_resort_queue}
    if failure_class in {"THROTTLED", "IMAGE_PULL"}:
        return {}
    return None
