"""seqdrop.failure.verdict: what a failure is called, from all that Batch may say of it and what the job left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure import advice, classify
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import BadInputError, JobError, UsageError, Verdict
from support.batch_causes import CAUSES, load_cause
from support.function_aws import event

OF_RUNS = {"NOT_STARTED", "NOT_READY", "NOT_RECORDED"}  # no job ends so


@pytest.mark.parametrize("path", CAUSES, ids=[path.stem for path in CAUSES])
def test_each_cause_has_its_class_and_its_sentence(path: Path) -> None:
    error, verdict, expected = load_cause(path)
    ending = BatchCause.parse(error)
    assert classify.classify(ending, verdict) == (expected["class"], expected["message"])
    assert ending.log == expected["log"]


def test_every_class_that_a_job_can_end_with_has_a_cause_among_them() -> None:
    of_jobs = {name for name in advice.ADVICE if not name.startswith("BAD_INPUT.")} - OF_RUNS
    named = {load_cause(path)[2]["class"] for path in CAUSES}
    assert of_jobs <= named
    assert {"BAD_INPUT", "BAD_INPUT.TRUNCATED", "BAD_INPUT.LIMIT", "BAD_INPUT.SWAPPED", "BAD_INPUT.ARGS"} <= named


def test_the_exit_code_of_an_earlier_attempt_is_no_evidence() -> None:
    attempts = [{"Container": {"ExitCode": 75}}, {"Container": {}}]
    cause = {"JobId": "j", "Attempts": attempts, "Container": {}, "StatusReason": "Host EC2 (instance i-1) terminated."}
    ending = BatchCause.parse({"Cause": json.dumps(cause)})
    assert (ending.attempt, ending.exit_code) == (2, None)


@pytest.mark.parametrize(
    ("name", "attempt", "exit_code"), [("out_of_memory", 1, 137), ("spot_reclaimed", 3, None), ("bad_data", 1, 65)]
)
def test_an_ending_is_read_from_what_batch_says(name: str, attempt: int, exit_code: int | None) -> None:
    error = event(f"diagnose_{name}")["align"]["error"]
    ending = BatchCause.parse(error)
    job_id = json.loads(error["Cause"])["JobId"]
    assert (ending.job_id, ending.attempt, ending.exit_code) == (job_id, attempt, exit_code)


@pytest.mark.parametrize("error", [None, [], "text", 7, {}, {"Error": 1, "Cause": {"JobId": "j"}}])
def test_an_error_that_is_none_is_an_ending_of_which_nothing_is_known(error: Any) -> None:
    assert BatchCause.parse(error) == BatchCause()


def test_json_of_a_depth_that_no_parser_takes_is_text() -> None:
    assert BatchCause.parse({"Error": "E", "Cause": "[" * 30_000}) == BatchCause(error="E", text="[" * 297 + "...")


VERDICT = Verdict("TOOL_FAILED", "samtools ended with exit code 1", "samtools", 70, ("a", "b"), 512, "j")
WRITTEN = {
    "class": "TOOL_FAILED",
    "message": "samtools ended with exit code 1",
    "tool": "samtools",
    "exit_code": 70,
    "stderr_tail": ["a", "b"],
    "peak_memory": 512,
    "job_id": "j",
    "advice": "Check the tool's last lines and its log, correct the cause, then run `seqdrop resume RUN`.",
}


def test_a_verdict_reads_back_as_it_was_written() -> None:
    written = json.loads(json.dumps(VERDICT.to_json()))
    assert written == WRITTEN
    assert Verdict.from_json(written) == VERDICT
    assert Verdict.from_json({**written, "called": {"lane1_R1.fastq.gz": "a"}}) == VERDICT


@pytest.mark.parametrize("missing", [name for name in WRITTEN if name != "advice"])
def test_a_verdict_that_lacks_a_word_is_none(missing: str) -> None:
    with pytest.raises(ValueError, match="no verdict"):
        Verdict.from_json({name: value for name, value in WRITTEN.items() if name != missing})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "TOOL_FAILED",
        {**WRITTEN, "class": "OUT OF LUCK"},
        {**WRITTEN, "class": "BAD_INPUT.<b>"},
        {**WRITTEN, "class": ["TOOL_FAILED"]},
        {**WRITTEN, "message": None},
        {**WRITTEN, "exit_code": "70"},
        {**WRITTEN, "stderr_tail": "a"},
    ],
)
def test_what_no_job_wrote_is_no_verdict(value: Any) -> None:
    with pytest.raises(ValueError, match="no verdict"):
        Verdict.from_json(value)


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


def test_a_failure_is_told_whole() -> None:
    said = {
        "message": "bwa was killed",
        "class": "OUT_OF_MEMORY",
        "advice": "Give it more.",
        "step": "align",
        "tried": ["one", "two"],
        "tool_lines": ["[M::bwa]"],
        "log": "group stream",
    }
    assert advice.explain(said) == [
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
    bare = {"message": "m", "class": "STOPPED", "advice": "a"}
    assert advice.explain(bare) == ["m", "Class: STOPPED", "What to do: a"]
