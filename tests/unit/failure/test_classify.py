"""Test seqdrop.failure: the class of a failure from Batch's description of the job and the job's verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure import advice, classify
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import BadInputError, JobError, UsageError, Verdict
from seqdrop.plan.names import VERSION
from support.batch_causes import CAUSES, load_cause
from support.function_aws import event

RUN_CLASSES = {"NOT_STARTED", "NOT_READY", "NOT_RECORDED", "QC", "BUDGET"}  # of runs, never of jobs


@pytest.mark.parametrize("path", CAUSES, ids=[path.stem for path in CAUSES])
def test_every_cause_has_its_class_and_message(path: Path) -> None:
    error, verdict, expected = load_cause(path)
    cause = BatchCause.parse(error)
    assert classify.classify(cause, verdict) == (expected["class"], expected["message"])
    assert cause.log == expected["log"]


def test_every_class_of_a_job_has_a_cause_file() -> None:
    job_classes = {name for name in advice.ADVICE if not name.startswith("BAD_INPUT.")} - RUN_CLASSES
    classes = {load_cause(path)[2]["class"] for path in CAUSES}
    assert job_classes <= classes
    assert {"BAD_INPUT", "BAD_INPUT.TRUNCATED", "BAD_INPUT.LIMIT", "BAD_INPUT.SWAPPED", "BAD_INPUT.ARGS"} <= classes


def test_the_exit_code_of_an_earlier_attempt_is_ignored() -> None:
    attempts = [{"Container": {"ExitCode": 75}}, {"Container": {}}]
    job = {"JobId": "j", "Attempts": attempts, "Container": {}, "StatusReason": "Host EC2 (instance i-1) terminated."}
    cause = BatchCause.parse({"Cause": json.dumps(job)})
    assert (cause.attempt, cause.exit_code) == (2, None)


@pytest.mark.parametrize(("reason", "is_of_host"), [
    ("The ECS agent was disconnected", True),
    ("Agent lost", True),
    ("The agent is not connected", True),
    ("The agent sent the exit code 3", False),
    ("The tool lost its input", False),
])  # fmt: skip
def test_only_a_lost_agent_is_a_failure_of_the_host(reason: str, is_of_host: bool) -> None:
    job = {"JobId": "j", "Attempts": [{"Container": {}}], "Container": {}, "StatusReason": reason}
    cause = BatchCause.parse({"Error": "States.TaskFailed", "Cause": json.dumps(job)})
    assert (classify.classify(cause, None)[0] == "HOST_FAILED") is is_of_host


@pytest.mark.parametrize(
    ("name", "attempt", "exit_code"), [("out_of_memory", 1, 137), ("spot_reclaimed", 3, None), ("bad_data", 1, 65)]
)
def test_job_attempt_and_exit_code_are_parsed(name: str, attempt: int, exit_code: int | None) -> None:
    error = event(f"diagnose_{name}")["align"]["error"]
    cause = BatchCause.parse(error)
    job_id = json.loads(error["Cause"])["JobId"]
    assert (cause.job_id, cause.attempt, cause.exit_code) == (job_id, attempt, exit_code)


@pytest.mark.parametrize("error", [None, [], "text", 7, {}, {"Error": 1, "Cause": {"JobId": "j"}}])
def test_an_invalid_error_gives_an_empty_cause(error: Any) -> None:
    assert BatchCause.parse(error) == BatchCause()


def test_json_that_is_nested_too_deep_is_kept_as_text() -> None:
    assert BatchCause.parse({"Error": "E", "Cause": "[" * 30_000}) == BatchCause(error="E", text="[" * 297 + "...")


VERDICT = Verdict(
    "TOOL_FAILED", "samtools ended with exit code 1", "samtools", 70, ("a", "b"), 512, "j", 3600.5, 32, 80_000
)
DOCUMENT = {
    "version": 1,
    "class": "TOOL_FAILED",
    "message": "samtools ended with exit code 1",
    "tool": "samtools",
    "exit_code": 70,
    "stderr_tail": ["a", "b"],
    "peak_memory": 512,
    "job_id": "j",
    "seconds": 3600.5,
    "vcpus": 32,
    "memory": 80_000,
    "advice": "Check the tool's last lines and its log, correct the cause, then run `seqdrop resume RUN`.",
}


@pytest.mark.parametrize("value", [None, "7", -1, math.inf, math.nan, 1e300])
def test_a_verdict_without_valid_amounts_is_valid_without_them(value: Any) -> None:
    document = {**DOCUMENT, "seconds": value, "vcpus": value}
    del document["memory"]
    parsed = Verdict.from_json(document)
    assert (parsed.seconds, parsed.vcpus, parsed.memory, parsed.message) == (0, 0, 0, VERDICT.message)


def test_a_verdict_survives_a_round_trip_through_json() -> None:
    document = json.loads(json.dumps(VERDICT.to_json()))
    assert document == DOCUMENT
    assert Verdict.from_json(document) == VERDICT
    assert Verdict.from_json({**document, "called": {"lane1_R1.fastq.gz": "a"}}) == VERDICT


OPTIONAL = ("advice", "seconds", "vcpus", "memory")


@pytest.mark.parametrize("missing", [name for name in DOCUMENT if name not in OPTIONAL])
def test_a_verdict_without_a_required_field_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match="not a verdict"):
        Verdict.from_json({name: value for name, value in DOCUMENT.items() if name != missing})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "TOOL_FAILED",
        {**DOCUMENT, "class": "OUT OF LUCK"},
        {**DOCUMENT, "class": "BAD_INPUT.<b>"},
        {**DOCUMENT, "class": ["TOOL_FAILED"]},
        {**DOCUMENT, "message": None},
        {**DOCUMENT, "version": 0},
        {**DOCUMENT, "version": VERSION + 1},
        {**DOCUMENT, "exit_code": "70"},
        {**DOCUMENT, "stderr_tail": "a"},
    ],
)
def test_a_verdict_with_an_invalid_field_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not a verdict"):
        Verdict.from_json(value)


def test_errors_have_a_class_and_an_exit_code() -> None:
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


def test_an_explanation_contains_every_field_of_a_failure() -> None:
    failure = {
        "message": "bwa was killed",
        "class": "OUT_OF_MEMORY",
        "advice": "Give it more.",
        "step": "align",
        "tried": ["one", "two"],
        "tool_lines": ["[M::bwa]"],
        "log": "group stream",
    }
    assert advice.explain(failure) == [
        "bwa was killed",
        "Class: OUT_OF_MEMORY in align",
        "What to do: Give it more.",
        "Tried:",
        "  one",
        "  two",
        "The tool's last lines:",
        "  [M::bwa]",
        "Log: group stream",
    ]
    minimal = {"message": "m", "class": "STOPPED", "advice": "a"}
    assert advice.explain(minimal) == ["m", "Class: STOPPED", "What to do: a"]
