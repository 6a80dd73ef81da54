"""Say what a user can do about a failure of each class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# <Step> stands for the step's name in the stack's parameters, <retry> for the command that tries again.
ADVICE = {
    "BAD_INPUT": "Upload the original files from the sequencer: the same bytes will fail again.",
    "BAD_INPUT.TRUNCATED": "Copy the complete file again, compare its checksum, then upload it again.",
    "BAD_INPUT.CORRUPT_GZIP": "A copy damaged the file: copy it again, check it with `gzip -t`, then upload it again.",
    "BAD_INPUT.NOT_GZIP": "Decompress the file, compress it with gzip or bgzip, then upload it again.",
    "BAD_INPUT.EMPTY": "Check that the sequencer wrote reads for this sample, then upload files that contain reads.",
    "BAD_INPUT.MALFORMED": "Correct the file as the message says, or convert the sequencer's data to FASTQ again; then "
    "upload it.",
    "BAD_INPUT.MATE_COUNT": "One file lost reads: copy both again, or trim both together, then upload both.",
    "BAD_INPUT.MATE_NAMES": "Upload two files of one run, in the same order, with names that differ in /1 and /2 only.",
    "BAD_INPUT.MATE_LENGTHS": "Upload the two mates: if R2 is a UMI or a barcode, the mate is usually R3.",
    "BAD_INPUT.LAYOUT": "Upload the file again with the layout that it has (x-amz-meta-seqdrop-layout): single, "
    "interleaved or paired.",
    "BAD_INPUT.ALIGNED": "Upload the FASTQs that it was made from, or make an unaligned BAM of all reads: "
    "`samtools collate`, `samtools reset`.",
    "BAD_INPUT.CORRUPT_BAM": "Copy the file again, check it with `samtools quickcheck -u`, then upload it again.",
    "BAD_INPUT.LIMIT": "The message names the limit: check which program wrote the file, then upload the correct file.",
    "BAD_INPUT.ALIGNER": "The reads are valid, but not for this aligner: upload them with another one "
    "(x-amz-meta-seqdrop-aligner).",
    "BAD_INPUT.ARGS": "Correct the options chosen for this step, then upload the reads again.",
    "BAD_INPUT.CHOICES": "Correct the x-amz-meta-seqdrop-* metadata of the FASTQs, then upload them again.",
    "BAD_INPUT.INTERVALS": "Upload a correct BED file to the address in the message, then <retry>.",
    "BAD_INPUT.SAME_FILE": "The same file was uploaded as R1 and as R2: upload the missing one.",
    "BAD_INPUT.SWAPPED": "R1 has the file name of R2 and R2 that of R1: rename both, then upload them again.",
    "BAD_INPUT.ARCHIVED": "Restore the files (`aws s3api restore-object`), then <retry>. FASTQs that started no run: "
    "then copy each over itself with `aws s3 cp S3_URI S3_URI --storage-class STANDARD`.",
    "BAD_INPUT.CHUNKS": "Concatenate the chunks of each mate in one order (`cat`), upload both, delete the chunks.",
    "BAD_INPUT.SHEET": "Correct these lines of the samplesheet, then upload it again: no sample of it was started.",
    "BAD_INPUT.MISSING": "Upload the file again, and keep it until its run has ended.",
    "BAD_INPUT.DOWNLOAD": "Correct the address as the message says, or download the file and give that, then <retry>.",
    "DOWNLOAD": "The server cannot be reached: <retry> later. If jobs have no way to the internet, download the file "
    "and give that.",
    "BAD_INPUT.PLAN": "Upload the reads to the bucket: a manual plan must look like events/execution_input.json.",
    "BAD_INPUT.QC": "Correct the QC policy (seqdrop qc check FILE --reference NAME uploads it), then <retry>.",
    "QC": "Read the report: all files are kept. Sequence the sample again, or correct the QC policy, then <retry>.",
    "REFERENCE": "Prepare it with `seqdrop reference`, then <retry>; or upload the reads with the name of a prepared "
    "one (x-amz-meta-seqdrop-reference).",
    "NOT_READY": "Push the images (`make push`), deploy, then <retry>.",
    "OUT_OF_MEMORY": "Give this step more memory: raise <Step>Memory of the stack, then <retry>.",
    "NO_SPACE": "Give jobs a larger scratch disk: InstanceTypes with larger local disks, or ScratchSize; then <retry>.",
    "SPOT_RECLAIMED": "AWS reclaimed the Spot instance on every attempt: <retry>, or set SpotShare=never first.",
    "HOST_FAILED": "Instances could not start the job: <retry>; if it fails again, check the stack's instances.",
    "IMAGE_PULL": "Push the images of this stack (`make push`), then <retry>.",
    "THROTTLED": "AWS was overloaded: wait a few minutes, then <retry>.",
    "NOT_PLACED": "Check <Step>Vcpus, <Step>Memory, MaxVcpus and the vCPU quota of the account, then <retry>.",
    "TIMEOUT": "Check the job's log; if the job was still working, raise its limit in the template, then <retry>.",
    "STOPPED": "A user stopped it: to continue where it stopped, <retry>.",
    "BUDGET": "What is done is kept. To continue with a higher budget, run `seqdrop resume RUN --max-cost USD`. A "
    "budget above MaxRunCost of the stack needs its owner, who can raise this parameter.",
    "TOOL_FAILED": "Check the tool's last lines and its log, correct the cause, then <retry>.",
    "DENIED": "Restore the permission (role, bucket policy or key), then <retry>.",
    "RESULTS_CHANGED": "Do not change results while their run works: to create the missing ones again, <retry>.",
    "NOT_STARTED": "No data was lost: to start it, <retry>.",
    "NOT_RECORDED": "Wait: the state of the run and its results are recorded within an hour.",
    "INTERNAL": "This is a bug in the pipeline: please report it with the log of this step.",
}

# For the preparation of a reference, which has no reads.
PREPARE_ADVICE = {
    "REFERENCE": "Correct the files or options of the reference as the message says, then <retry> again.",
    "BAD_INPUT.MISSING": "Keep the uploaded files until the preparation has ended: <retry> again.",
    "BAD_INPUT.ARGS": "Correct the options, then <retry> again.",
    "NOT_READY": "Push the images, deploy, then <retry> again.",
}
# For the steps of a joint run, which reads the results of others.
JOINT_ADVICE = {
    "BAD_INPUT.MISSING": "Results of a sample are gone: run the sample again, then its `seqdrop joint` command.",
    "RESULTS_CHANGED": "Do not change results while a joint run reads them: run `seqdrop joint` again.",
}
OF_STEP = {"prepare": PREPARE_ADVICE, "merge": JOINT_ADVICE, "join": JOINT_ADVICE}


def get(failure_class: str, step: str = "") -> str:
    """Return the advice for a class; for an unknown class, that for its first part or for INTERNAL."""
    text = OF_STEP.get(step, {}).get(failure_class, "")
    text = text or ADVICE.get(failure_class) or ADVICE.get(failure_class.split(".", maxsplit=1)[0], ADVICE["INTERNAL"])
    retry = "run `seqdrop reference`" if step == "prepare" else "run `seqdrop resume RUN`"
    return text.replace("<Step>", step.title() or "<Step>").replace("<retry>", retry)


def complete(text: str, run: str, stack: str) -> str:
    """Return a text whose commands can be copied: with the run and, of a deployed stack, with its name.

    `stack` is "" for the embedded AWS, which commands use without an option.
    """
    option = f" --stack {stack}" if stack else ""
    text = re.sub(r"`seqdrop (why|resume) RUN( --max-cost USD)?`", rf"`seqdrop \1 {run}\2{option}`", text)
    # a text that is complete already stays as it is
    text = re.sub(r"`(seqdrop reference[^`]*?)( --stack [^ `]+)?`", rf"`\1{option}`", text)
    return text.replace("`make push`", f"`make push STACK={stack}`") if stack else text


def explain(failure: Mapping[str, Any]) -> list[str]:
    """Format a failure for the user: message, class, advice, attempts, last lines of the tool, log."""
    step = f" in {failure['step']}" if failure.get("step") else ""
    lines = [failure["message"], f"Class: {failure['class']}{step}", f"What to do: {failure['advice']}"]
    for heading, name in (("Tried:", "tried"), ("The tool's last lines:", "tool_lines")):
        if failure.get(name):
            lines += [heading, *(f"  {line}" for line in failure[name])]
    return [*lines, f"Log: {failure['log']}"] if failure.get("log") else lines
