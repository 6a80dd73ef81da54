"""What a failure is called, what it means to a person, and whether another try can help. Pure: no AWS in here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seqdrop.ending import Ending
from seqdrop.plain import plain

# Exit codes of a job: the words of sysexits.h, and 128 + SIGTERM.
USAGE, BAD_DATA, INTERNAL_EXIT, TRY_AGAIN, STOPPED_EXIT = 64, 65, 70, 75, 143

# What to do. <Step> stands for the step's name in the stack's parameters, <again> for the command that tries again.
ADVICE = {
    "BAD_INPUT": "Send the files again as they left the sequencer; the same bytes will fail again.",
    "BAD_INPUT.TRUNCATED": "Copy the file again, whole, compare its checksum, then upload it again.",
    "BAD_INPUT.CORRUPT_GZIP": "The file was damaged on its way: copy it again, try `gzip -t` on it, upload it again.",
    "BAD_INPUT.NOT_GZIP": "Compress the file with gzip or bgzip, or name it .fastq, then upload it again.",
    "BAD_INPUT.EMPTY": "See whether the sequencer wrote any reads for this sample, then upload files that have some.",
    "BAD_INPUT.MALFORMED": "Write the file again from the sequencer's data: it is no FASTQ that tools agree on.",
    "BAD_INPUT.MATE_COUNT": "One mate lost reads: filter or trim both mates together, then upload both again.",
    "BAD_INPUT.MATE_NAMES": "The mates are not of one run or not in one order: upload the two that belong together.",
    "BAD_INPUT.LIMIT": "No sequencer writes such a file: look at what it is, then send the right one.",
    "BAD_INPUT.ARGS": "Correct the words chosen for this step, then drop the reads again.",
    "BAD_INPUT.CHOICES": "Correct what was chosen on the FASTQs (x-amz-meta-seqdrop-*), then upload them again.",
    "BAD_INPUT.SAME_FILE": "One file was given as both mates: upload the other one.",
    "BAD_INPUT.SWAPPED": "The mates have each other's names: rename them, then upload them again.",
    "BAD_INPUT.MISSING": "Upload the file again; it must stay until its run is over.",
    "BAD_INPUT.PLAN": "Drop the reads into the bucket: a plan written by hand must be as events/execution_input.json.",
    "REFERENCE": "Prepare it with `seqdrop reference`, or choose one that is there (x-amz-meta-seqdrop-reference).",
    "NOT_READY": "Push the images, deploy, then drop the reads again.",
    "OUT_OF_MEMORY": "Give this step more memory: raise <Step>Memory of the stack, then <again>.",
    "NO_SPACE": "Give jobs a larger scratch disk: raise ScratchSize of the stack, then <again>.",
    "SPOT_RECLAIMED": "Hosts were taken back again and again: <again>, or set SpotShare=never first.",
    "HOST_FAILED": "Instances could not start the job: <again>; if it happens again, look at the stack's instances.",
    "IMAGE_PULL": "Push the images of this stack (`make push`), then <again>.",
    "THROTTLED": "AWS was too busy: <again> in some minutes.",
    "NOT_PLACED": "See <Step>Vcpus and <Step>Memory, MaxVcpus and the vCPU quota of the account, then <again>.",
    "TIMEOUT": "Look at the log of the job; if it was at work, raise its limit in the template, then <again>.",
    "STOPPED": "Somebody stopped it: <again> to go on where it stopped.",
    "TOOL_FAILED": "Look at the tool's last lines and at its log; when the cause is gone, <again>.",
    "DENIED": "Give the permission back (role, bucket policy or key), then <again>.",
    "RESULTS_CHANGED": "Leave the results alone until the run is over: <again> to make anew what is gone.",
    "NOT_STARTED": "Nothing was lost: <again> to start it.",
    "NOT_RECORDED": "Wait: within an hour the run is recorded as what it is, results and all.",
    "INTERNAL": "This is a fault of the pipeline: please report it with the log of this step.",
}
BAD_INPUT = re.compile(r"BAD_INPUT\.[A-Z_]{1,40}")
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
MOST_SENTENCE = 400  # characters


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
    def from_json(cls, value: Any) -> Verdict:
        """Raises ValueError for what no job of ours wrote."""
        match value:
            case {
                "class": str(failure_class),
                "message": str(message),
                "tool": str(tool),
                "exit_code": int(exit_code),
                "stderr_tail": list(tail),
                "peak_memory": int(peak_memory),
                "job_id": str(job_id),
            } if failure_class in ADVICE or BAD_INPUT.fullmatch(failure_class):
                lines = tuple(line for line in tail if isinstance(line, str))
                return cls(failure_class, message, tool, exit_code, lines, peak_memory, job_id)
        raise ValueError("this is no verdict")


def advice(failure_class: str, step: str = "") -> str:
    """What to do about it."""
    text = ADVICE.get(failure_class) or ADVICE.get(failure_class.split(".", maxsplit=1)[0], ADVICE["INTERNAL"])
    again = "`seqdrop reference`" if step == "prepare" else "`seqdrop resume RUN`"
    return text.replace("<Step>", step.title() or "<Step>").replace("<again>", again)


def told(said: Mapping[str, Any]) -> list[str]:
    """A failure as a person reads it everywhere: sentence, class, what to do, what was tried, the tool, the log."""
    step = f" in {said['step']}" if said.get("step") else ""
    lines = [said["message"], f"Class: {said['class']}{step}", f"What to do: {said['advice']}"]
    for heading, name in (("Tried:", "tried"), ("The tool's last lines:", "tool_lines")):
        if said.get(name):
            lines += [heading, *(f"  {line}" for line in said[name])]
    return [*lines, f"Log: {said['log']}"] if said.get("log") else lines


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
    if "TooManyRequests" in ending.error or (not ending.job_id and "Throttl" in ending.text):
        return "THROTTLED", "AWS Batch refused the job because of too many requests."
    if ending.error in {"Batch.ServerException", "Batch.SdkClientException"}:
        return "THROTTLED", f"AWS Batch did not answer as it should, again and again: {ending.text}"
    if ending.exit_code in EXITS:
        return EXITS[ending.exit_code]
    if ending.exit_code is not None:
        return "TOOL_FAILED", f"The job ended with exit code {ending.exit_code} and left no verdict."
    if ending.cut_off:
        return "INTERNAL", "The job failed, and what Batch said of it cannot be read; see the log of the job."
    said = ending.reason or ending.status_reason or ending.text
    return "INTERNAL", f"The job could not be run ({ending.error}): {said or 'nothing was said of it'}"
