"""What a person does about a failure of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What to do. <Step> stands for the step's name in the stack's parameters, <again> for the command that tries again.
ADVICE = {
    "BAD_INPUT": "Send the files again as they left the sequencer; the same bytes will fail again.",
    "BAD_INPUT.TRUNCATED": "Copy the file again, whole, compare its checksum, then upload it again.",
    "BAD_INPUT.CORRUPT_GZIP": "The file was damaged on its way: copy it again, try `gzip -t` on it, upload it again.",
    "BAD_INPUT.NOT_GZIP": "Unpack it with what packed it, compress it with gzip or bgzip, then upload it again.",
    "BAD_INPUT.EMPTY": "See whether the sequencer wrote any reads for this sample, then upload files that have some.",
    "BAD_INPUT.MALFORMED": "Write the file again from the sequencer's data: it is no FASTQ that tools agree on.",
    "BAD_INPUT.MATE_COUNT": "One mate lost reads: copy both again whole, or trim both together, then upload both.",
    "BAD_INPUT.MATE_NAMES": "Upload two files of one run in one order, whose names differ in /1 and /2 alone.",
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


def get(failure_class: str, step: str = "") -> str:
    """The advice on a class; of a class that has none, that of its kind."""
    text = ADVICE.get(failure_class) or ADVICE.get(failure_class.split(".", maxsplit=1)[0], ADVICE["INTERNAL"])
    again = "`seqdrop reference`" if step == "prepare" else "`seqdrop resume RUN`"
    return text.replace("<Step>", step.title() or "<Step>").replace("<again>", again)


def explain(failure: Mapping[str, Any]) -> list[str]:
    """A failure as a person reads it everywhere: sentence, class, what to do, what was tried, the tool, the log."""
    step = f" in {failure['step']}" if failure.get("step") else ""
    lines = [failure["message"], f"Class: {failure['class']}{step}", f"What to do: {failure['advice']}"]
    for heading, name in (("Tried:", "tried"), ("The tool's last lines:", "tool_lines")):
        if failure.get(name):
            lines += [heading, *(f"  {line}" for line in failure[name])]
    return [*lines, f"Log: {failure['log']}"] if failure.get("log") else lines
