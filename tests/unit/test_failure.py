"""seqdrop.failure: what a failure is called, and what is tried next."""

from __future__ import annotations

import json
from typing import Any

import pytest
from function_aws import event
from seqdrop import failure
from seqdrop.failure import BadInputError, Ending, JobError, UsageError, Verdict

ESSENTIAL = "Essential container in task exited"
PLAN = {"run": "r", "call": {"job_queue": "spot", "vcpus": "4", "memory": "2000", "attempt": "1", "args": "[]"}}
TRUNCATED = Verdict("BAD_INPUT.TRUNCATED", "lane1_R2.fastq.gz is cut off", exit_code=65, job_id="j")


def failed(status_reason: str = ESSENTIAL, *attempts: dict[str, Any], **job: Any) -> dict[str, str]:
    """The error of a job, as `.sync` hands it to a Catch."""
    tried = [{"Container": container, "StatusReason": status_reason} for container in attempts]
    last = attempts[-1] if attempts else {}
    described = {
        "JobId": "j",
        "Attempts": tried,
        "Container": last,
        "StatusReason": status_reason,
        "Status": "FAILED",
        "IsCancelled": False,
        "IsTerminated": False,
    }
    return {"Error": "States.TaskFailed", "Cause": json.dumps({**described, **job})}


def exited(code: int, reason: str = "") -> dict[str, Any]:
    return {"ExitCode": code, **({"Reason": reason} if reason else {})}


SPOT = failed("Host EC2 (instance i-0f2d9c6a7b5e41c38) terminated.", {}, {}, {})
OUT_OF_MEMORY = failed(ESSENTIAL, exited(137, "OutOfMemoryError: Container killed due to memory usage"))
QUEUE_LIMIT = "Canceled by JobStateTimeLimit action due to reason: "  # as Batch writes it
TOO_LARGE = QUEUE_LIMIT + "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
NO_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
PULL = "CannotPullContainerError: Error response from daemon: manifest unknown"

# what the task's Catch got, the verdict found: the class, the sentence, what the next try changes (None: no try)
TABLE: dict[str, tuple[dict[str, str], Verdict | None, str, str, dict[str, str] | None]] = {
    "bad data, by its verdict": (
        failed(ESSENTIAL, exited(65)),
        TRUNCATED,
        "BAD_INPUT.TRUNCATED",
        "lane1_R2.fastq.gz is cut off",
        None,
    ),
    "an exit code that no verdict explains": (
        failed(ESSENTIAL, exited(65)),
        None,
        "TOOL_FAILED",
        "The job ended with exit code 65 and left no verdict.",
        None,
    ),
    "Spot": (
        SPOT,
        None,
        "SPOT_RECLAIMED",
        "The host was taken away while the job ran, on every attempt.",
        {"job_queue": "last"},
    ),
    "a draining host": (
        failed(ESSENTIAL, exited(143)),
        Verdict("STOPPED", "The job was told to stop.", exit_code=143, job_id="j"),
        "SPOT_RECLAIMED",
        "The host was taken away while the job ran, on every attempt.",
        {"job_queue": "last"},
    ),
    "killed by Docker for memory": (
        OUT_OF_MEMORY,
        None,
        "OUT_OF_MEMORY",
        "The job needed more memory than it was given and was killed.",
        {"memory": "4000"},
    ),
    "killed with nothing said": (
        failed(ESSENTIAL, exited(137)),
        None,
        "OUT_OF_MEMORY",
        "The job was killed, most likely for using more memory than it was given.",
        {"memory": "4000"},
    ),
    "a tool out of memory, by the job's own verdict": (
        failed(ESSENTIAL, exited(70)),
        Verdict("OUT_OF_MEMORY", "bcftools was killed, most likely for memory", job_id="j"),
        "OUT_OF_MEMORY",
        "bcftools was killed, most likely for memory",
        {"memory": "4000"},
    ),
    "an image that cannot be pulled": (
        failed("Task failed to start", {"Reason": PULL}),
        None,
        "IMAGE_PULL",
        f"The image could not be pulled: {PULL}",
        {},
    ),
    "too long": (
        failed("Job attempt duration exceeded timeout", exited(137)),
        None,
        "TIMEOUT",
        "The job ran longer than its time limit and was ended.",
        None,
    ),
    "too long for the state": (
        {"Error": "States.Timeout", "Cause": ""},
        None,
        "TIMEOUT",
        "The job ran longer than its time limit and was ended.",
        None,
    ),
    "terminated by a person": (
        failed("wrong reference", exited(143), IsTerminated=True),
        Verdict("STOPPED", "The job was told to stop.", exit_code=143, job_id="j"),
        "STOPPED",
        "The job was stopped: wrong reference.",
        None,
    ),
    "cancelled before it ran": (failed("", IsCancelled=True), None, "STOPPED", None, None),  # type: ignore[dict-item]
    "a size that fits nowhere": (
        failed(TOO_LARGE),
        None,
        "NOT_PLACED",
        "No instance fits the job: lower its vCPUs or memory parameter, or raise MaxVcpus or InstanceTypes.",
        None,
    ),
    "no capacity": (
        failed(QUEUE_LIMIT + NO_CAPACITY, IsCancelled=True),
        None,
        "NOT_PLACED",
        f"The job waited too long for an instance ({NO_CAPACITY}).",
        {"job_queue": "last"},
    ),
    "more than all of the compute environment": (
        failed(QUEUE_LIMIT + "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", IsCancelled=True),
        None,
        "NOT_PLACED",
        "No instance fits the job: lower its vCPUs or memory parameter, or raise MaxVcpus or InstanceTypes.",
        None,
    ),
    "too many requests": (
        {"Error": "Batch.TooManyRequestsException", "Cause": "Rate exceeded"},
        None,
        "THROTTLED",
        "AWS Batch refused the job because of too many requests.",
        {},
    ),
    "throttled under another name": (
        {"Error": "Batch.AWSBatchException", "Cause": "ThrottlingException: Rate exceeded (Status Code: 400)"},
        None,
        "THROTTLED",
        "AWS Batch refused the job because of too many requests.",
        {},
    ),
    "refused by Batch": (
        {"Error": "Batch.ClientException", "Cause": "User is not authorized to perform: batch:SubmitJob"},
        None,
        "INTERNAL",
        "The job could not be run (Batch.ClientException): User is not authorized to perform: batch:SubmitJob",
        None,
    ),
    "JSON that is no job": (
        {"Error": "States.Runtime", "Cause": '"text"'},
        None,
        "INTERNAL",
        'The job could not be run (States.Runtime): "text"',
        None,
    ),
    "nothing at all": ({}, None, "INTERNAL", "The job could not be run (): ", None),
    "a fault of the pipeline": (
        failed(ESSENTIAL, exited(70)),
        Verdict("INTERNAL", "KeyError: 'reads'", job_id="j"),
        "INTERNAL",
        "KeyError: 'reads'",
        None,
    ),
}


@pytest.mark.parametrize(("error", "verdict", "failure_class", "sentence", "change"), TABLE.values(), ids=TABLE)
def test_each_failure_has_its_class_its_sentence_and_its_cure(
    error: dict[str, str],
    verdict: Verdict | None,
    failure_class: str,
    sentence: str | None,
    change: dict[str, str] | None,
) -> None:
    plan = {**PLAN, "call": {**PLAN["call"], "error": error}}  # type: ignore[dict-item]
    answer = failure.diagnose(plan, "call", verdict, "last")
    said = sentence or "The job was stopped: no reason was given."
    job_id = "j" if "JobId" in error.get("Cause", "") else ""
    failures = [{"class": failure_class, "message": said, "job_id": job_id}]
    if change is None:
        gave_up = {"class": failure_class, "message": said, "advice": failure.advice(failure_class)}
        job, following = {**PLAN["call"], "gave_up": gave_up}, "give_up"  # type: ignore[dict-item]
    else:
        job, following = {**PLAN["call"], **change, "attempt": "2"}, "CallVariants"  # type: ignore[dict-item]
    assert answer == {"run": "r", "call": {**job, "failures": failures}, "next": following}


def test_a_full_disk_is_tried_once_more_with_an_instance_of_its_own() -> None:
    plan: dict[str, Any] = {"call": {**PLAN["call"], "error": failed(ESSENTIAL, exited(70))}}  # type: ignore[dict-item]
    full = Verdict("NO_SPACE", "The scratch disk is full.", job_id="j")
    first = failure.diagnose(plan, "call", full, "last", "64")
    assert (first["next"], first["call"]["vcpus"], first["call"]["attempt"]) == ("CallVariants", "64", "2")
    first["call"]["error"] = failed(ESSENTIAL, exited(70))
    assert failure.diagnose(first, "call", full, "last", "64")["next"] == "give_up"
    assert failure.diagnose(plan, "call", full, "last", "")["next"] == "give_up"


def again(plan: dict[str, Any], error: dict[str, str]) -> dict[str, Any]:
    return failure.diagnose({**plan, "call": {**plan["call"], "error": error}}, "call", None, "last")


def test_each_cure_is_tried_once() -> None:
    first = again(PLAN, OUT_OF_MEMORY)
    second = again(first, OUT_OF_MEMORY)
    assert (first["next"], second["next"]) == ("CallVariants", "give_up")
    assert second["call"]["memory"] == "4000"
    assert [entry["class"] for entry in second["call"]["failures"]] == ["OUT_OF_MEMORY"] * 2


def test_the_tries_of_a_step_are_bounded_whatever_fails() -> None:
    plan: dict[str, Any] = PLAN
    followed = []
    for error in (OUT_OF_MEMORY, SPOT, failed("Task failed to start", {"Reason": PULL}), SPOT):
        plan = again(plan, error)
        followed.append(plan["next"])
        if plan["next"] == "give_up":
            break
    assert followed == ["CallVariants", "CallVariants", "give_up"]
    assert plan["call"] == {
        **PLAN["call"],  # type: ignore[dict-item]
        "memory": "4000",
        "job_queue": "last",
        "attempt": "3",
        "failures": plan["call"]["failures"],
        "gave_up": plan["call"]["gave_up"],
    }


def test_a_next_try_leaves_no_error_and_no_cause_in_the_plan() -> None:
    shown = event("diagnose_spot_reclaimed")
    answer = failure.diagnose(shown, "align", None, "last")
    assert "error" not in answer["align"]
    assert len(json.dumps(answer)) < len(json.dumps(event("execution_input"))) + 300


def test_the_plan_that_came_is_left_as_it_was() -> None:
    shown = event("diagnose_out_of_memory")
    failure.diagnose(shown, "align", None, "last")
    assert shown == event("diagnose_out_of_memory")


@pytest.mark.parametrize(
    ("name", "attempt", "exit_code"), [("out_of_memory", 1, 137), ("spot_reclaimed", 3, None), ("bad_data", 1, 65)]
)
def test_an_ending_is_read_from_what_batch_says(name: str, attempt: int, exit_code: int | None) -> None:
    error = event(f"diagnose_{name}")["align"]["error"]
    ending = Ending.parse(error)
    assert (ending.job_id, ending.attempt, ending.exit_code) == (
        json.loads(error["Cause"])["JobId"],
        attempt,
        exit_code,
    )


def test_the_exit_code_of_an_earlier_attempt_is_no_evidence() -> None:
    ending = Ending.parse(failed("Host EC2 (instance i-1) terminated.", exited(75), {}))
    assert (ending.attempt, ending.exit_code) == (2, None)


def test_a_verdict_reads_back_as_it_was_written() -> None:
    verdict = Verdict("TOOL_FAILED", "samtools ended with exit code 1", "samtools", 70, ("a", "b"), 512, "j")
    assert verdict.to_json() == {
        "class": "TOOL_FAILED",
        "message": "samtools ended with exit code 1",
        "tool": "samtools",
        "exit_code": 70,
        "stderr_tail": ("a", "b"),
        "peak_memory": 512,
        "job_id": "j",
        "advice": "Look at the tool's last lines and at its log.",
    }
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_errors_know_their_class_and_their_exit_code() -> None:
    errors = [
        BadInputError("SWAPPED", "m"),
        BadInputError("REFERENCE", "m"),
        UsageError("m"),
        JobError("NO_SPACE", "m"),
    ]
    assert [(error.failure_class, error.exit_code, str(error)) for error in errors] == [
        ("BAD_INPUT.SWAPPED", 65, "m"),
        ("REFERENCE", 65, "m"),
        ("BAD_INPUT.ARGS", 64, "m"),
        ("NO_SPACE", 70, "m"),
    ]
    assert all(failure.advice(error.failure_class) for error in errors)
