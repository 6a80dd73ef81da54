"""List what Batch and Lambda answer on each path through the state machines; test_paths.py has the results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqdrop.failure.verdict import Verdict

STEPS = ("align", "call", "annotate", "collect", "compose", "fused", "prepare")
EXITED = "Essential container in task exited"
JOB_ID = "6e1d3c5a-0f0e-4c0b-9a51-3f8f2f5d7b10"
LOG = {"LogStreamName": "tool/default/6e1d3c5a", "LogConfiguration": {"Options": {"awslogs-group": "/jobs"}}}


@dataclass(frozen=True)
class Fault:
    """A failed call: the error that the state machine catches, and the verdict of the job."""

    error: str
    cause: str
    verdict: Verdict | None = None


DONE = None
Calls = Sequence[Fault | None]  # of one state, in order: faults that Retry handles, then the final answer


@dataclass(frozen=True)
class Case:
    """One execution. Calls that are not listed succeed at once."""

    jobs: Mapping[str, Sequence[Calls]] = field(default_factory=dict)  # step -> its tries
    doctor: Mapping[str, Calls] = field(default_factory=dict)  # step -> the calls of diagnose about it
    record: Calls = (DONE,)


def job_failed(status_reason: str, *attempts: dict[str, Any], verdict: Verdict | None = None, **more: bool) -> Fault:
    """Return the failure of a job as `.sync` reports it."""
    job = {
        "Attempts": [{"Container": container, "StatusReason": status_reason} for container in attempts],
        "Container": {**LOG, **attempts[-1]} if attempts else {},
        "IsCancelled": False,
        "IsTerminated": False,
        "JobId": JOB_ID,
        "Status": "FAILED",
        "StatusReason": status_reason,
    }
    return Fault("States.TaskFailed", json.dumps({**job, **more}), verdict)


def verdict(failure_class: str, message: str, exit_code: int, *tail: str) -> Verdict:
    return Verdict(failure_class, message, exit_code=exit_code, stderr_tail=tail, job_id=JOB_ID)


TRUNCATED = job_failed(
    EXITED,
    {"ExitCode": 65},
    verdict=verdict("BAD_INPUT.TRUNCATED", "NA12878_R2.fastq.gz is truncated: its gzip data has no end", 65),
)
TOOL_FAILED = job_failed(
    EXITED, {"ExitCode": 70}, verdict=verdict("TOOL_FAILED", "The tool ended with exit code 1", 70, "[E::open] no")
)
NO_SPACE = job_failed(EXITED, {"ExitCode": 70}, verdict=verdict("NO_SPACE", "The scratch disk is full", 70))
SILENT = job_failed(EXITED, {"ExitCode": 3})
OUT_OF_MEMORY = job_failed(
    EXITED, {"ExitCode": 137, "Reason": "OutOfMemoryError: Container killed due to memory usage"}
)
QUEUE_LIMIT = "Canceled by JobStateTimeLimit action due to reason: "  # as Batch writes it
SPOT_RECLAIMED = job_failed("Host EC2 (instance i-0f2d9c6a7b5e41c38) terminated.", {}, {}, {})
NOT_PLACED = job_failed(QUEUE_LIMIT + "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", IsCancelled=True)
TOO_LARGE = job_failed(QUEUE_LIMIT + "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", IsCancelled=True)
TIMED_OUT = job_failed("Job attempt duration exceeded timeout", {"ExitCode": 137})
STOPPED = job_failed("wrong sample", {"ExitCode": 143}, IsTerminated=True)
HOST_FAILED = job_failed(
    "Task failed to start", {"Reason": "DockerTimeoutError: Could not transition to started; timed out after 3m0s"}
)
IMAGE_PULL = job_failed("Task failed to start", {"Reason": "CannotPullContainerError: manifest unknown"})
# errors of the Batch API itself: their Cause is not JSON
TOO_MANY = Fault("Batch.TooManyRequestsException", "Too Many Requests (Service: AWSBatch; Status Code: 429)")
SERVER = Fault("Batch.ServerException", "Internal error (Service: AWSBatch; Status Code: 500)")
DENIED = Fault("Batch.AWSBatchException", "User is not authorized to perform: batch:SubmitJob (Status Code: 403)")
REFUSED = Fault("Batch.ClientException", "JobQueue default not found (Service: AWSBatch; Status Code: 400)")
# errors of the functions
BUSY = Fault("Lambda.TooManyRequestsException", "Rate Exceeded. (Service: Lambda; Status Code: 429)")
HUNG = Fault("Sandbox.Timedout", "RequestId: 6e1d3c5a Error: Task timed out after 30.00 seconds")
LOST = Fault("Lambda.Unknown", "The cause could not be determined because Lambda did not return an error type.")
CRASHED = Fault("KeyError", json.dumps({"errorMessage": "'run'", "errorType": "KeyError"}))

# Retry repeats a call six times (BatchException, AWSBatchException) or twenty times (the others), then diagnose is
# called. Calls of functions are repeated ten times.
ALL_TOO_MANY = [TOO_MANY] * 21
ALL_DENIED = [DENIED] * 7
ALL_BUSY = [BUSY] * 11

# what can happen to any job: its tries
JOBS: dict[str, Sequence[Calls]] = {
    "Truncated": [[TRUNCATED]],
    "ToolFailed": [[TOOL_FAILED]],
    "Silent": [[SILENT]],
    "TooLarge": [[TOO_LARGE]],
    "TimedOut": [[TIMED_OUT]],
    "Stopped": [[STOPPED]],
    "Refused": [[REFUSED]],
    "Denied": [ALL_DENIED],
    "OutOfMemoryTwice": [[OUT_OF_MEMORY], [OUT_OF_MEMORY]],
    "OutOfMemory": [[OUT_OF_MEMORY], [DONE]],
    "SpotReclaimed": [[SPOT_RECLAIMED], [DONE]],
    "NotPlaced": [[NOT_PLACED], [DONE]],
    "DiskFull": [[NO_SPACE], [DONE]],
    "ImagePull": [[IMAGE_PULL], [DONE]],
    "HostFailed": [[HOST_FAILED], [DONE]],
    "Throttled": [ALL_TOO_MANY, [DONE]],
    "ServerBusy": [[SERVER, SERVER, DONE]],
    "DeniedAtFirst": [[DENIED] * 6 + [DONE]],
}


def cases_of_every_step() -> dict[str, Case]:
    return {step.title() + name: Case({step: tries}) for step in STEPS for name, tries in JOBS.items()} | {
        f"{step.title()}Undiagnosed": Case({step: [[OUT_OF_MEMORY]]}, doctor={step: [CRASHED]}) for step in STEPS
    }


FUSED = {name: case for name, case in cases_of_every_step().items() if name.startswith("Fused")}
SCATTERED = {
    "ScatteredHappyPath": Case(),
    **{f"Scatter{name}": Case({"scatter": JOBS[name]}) for name in ("OutOfMemory", "SpotReclaimed", "ToolFailed")},
    "ScatterUndiagnosed": Case({"scatter": [[OUT_OF_MEMORY]]}, doctor={"scatter": [CRASHED]}),
    "ScatteredCallOutOfMemoryTwice": Case({"call": JOBS["OutOfMemoryTwice"]}),
}
PREPARATION = {
    "HappyPath": Case(),
    "DoctorBusy": Case({"prepare": [[OUT_OF_MEMORY], [DONE]]}, doctor={"prepare": [BUSY, BUSY, DONE]}),
    **{name: case for name, case in cases_of_every_step().items() if name.startswith("Prepare")},
}
JOINT_STEPS = ("merge", "join", "annotate")  # one after the other, with one state that diagnoses them
JOINT = {
    "HappyPath": Case(),
    **{step.title() + name: Case({step: JOBS[name]}) for step in JOINT_STEPS for name in ("OutOfMemory", "ToolFailed")},
    "EveryStepAgain": Case({step: [[OUT_OF_MEMORY], [DONE]] for step in JOINT_STEPS}),
    "MergeUndiagnosed": Case({"merge": [[OUT_OF_MEMORY]]}, doctor={"merge": [CRASHED]}),
    "NotRecorded": Case(record=[CRASHED]),
}
WITHOUT_FORM = "PlanWithoutForm"  # of an earlier version: start_run made it before an upgrade
PIPELINE = {
    "HappyPath": Case(),
    WITHOUT_FORM: Case(),
    **{name: case for name, case in cases_of_every_step().items() if not name.startswith(("Prepare", "Fused"))},
    "MemoryThenSpot": Case({"align": [[OUT_OF_MEMORY], [SERVER, SPOT_RECLAIMED], [DONE]]}),
    "ThreeTriesAreAll": Case({"align": [[OUT_OF_MEMORY], [SPOT_RECLAIMED], [IMAGE_PULL]]}),
    "ThrottledForGood": Case({"align": [ALL_TOO_MANY, ALL_TOO_MANY]}),
    "ServerBusyTwentyTimes": Case({"align": [[SERVER] * 20 + [DONE]]}),
    "TwoKindsOfApiError": Case({"align": [[SERVER, DENIED, SERVER, DENIED, DONE]]}),
    "CallThenAnnotate": Case({"call": [[OUT_OF_MEMORY], [DONE]], "annotate": [[SPOT_RECLAIMED], [DONE]]}),
    "CallThenAnnotateGivesUp": Case({"call": [[OUT_OF_MEMORY], [DONE]], "annotate": [[TOOL_FAILED]]}),
    "BothBranchesAgain": Case({"call": [[SPOT_RECLAIMED], [DONE]], "collect": [[OUT_OF_MEMORY], [DONE]]}),
    "BothBranchesGiveUp": Case({"call": [[TRUNCATED]], "collect": [[TIMED_OUT]]}),
    "BothBranchesUndiagnosed": Case(
        {"annotate": [[TRUNCATED]], "collect": [[TIMED_OUT]]}, doctor={"annotate": [CRASHED], "collect": [CRASHED]}
    ),
    "EveryStepAgain": Case({step: [[OUT_OF_MEMORY], [DONE]] for step in STEPS if step not in {"fused", "prepare"}}),
    "StatsAndReportGiveUp": Case({"collect": [[TOOL_FAILED]], "compose": [[TIMED_OUT]]}),
    "DoctorBusy": Case({"align": [[OUT_OF_MEMORY], [DONE]]}, doctor={"align": [BUSY, BUSY, DONE]}),
    "DoctorHungAndLost": Case({"align": [[OUT_OF_MEMORY], [DONE]]}, doctor={"align": [HUNG, LOST, DONE]}),
    "DoctorBusyForGood": Case({"align": [[OUT_OF_MEMORY]]}, doctor={"align": ALL_BUSY}),
    "RecordBusy": Case(record=[BUSY, BUSY, DONE]),
    "RecordHungAndLost": Case(record=[HUNG, LOST, DONE]),
    "NotRecorded": Case(record=[CRASHED]),
    "NotRecordedWhileBusy": Case(record=ALL_BUSY),
    "FailedAndNotRecorded": Case({"align": [[TRUNCATED]]}, record=[CRASHED]),
}
