"""seqdrop.runs.diagnosis: the next try of a failed step, or its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop.runs import diagnosis
from support.batch_causes import CAUSES, FOLDER, load_cause
from support.function_aws import event

CALL = {"job_queue": "spot", "vcpus": "4", "memory": "2048", "attempt": "1", "args": "[]"}
CHANGES = {
    "memory doubled to 4096 MiB": {"memory": "4096"},
    "on-demand instances only": {"job_queue": "last"},
    "an instance's whole disk, with 64 vCPUs": {"vcpus": "64"},
    "the same once more": {},
}


def diagnose(
    job: dict[str, Any], error: dict[str, Any], verdict: Verdict | None = None, whole_instance: str = "64"
) -> dict[str, Any]:
    """Diagnose a plan in which this job has just failed."""
    plan = {"run": "r", "call": {**job, "error": error}}
    return diagnosis.diagnose(plan, "call", verdict, "last", whole_instance)


def error_of(name: str) -> dict[str, Any]:
    """Return the error of a file in support/causes."""
    return load_cause(FOLDER / f"{name}.json")[0]


@pytest.mark.parametrize("path", CAUSES, ids=[path.stem for path in CAUSES])
def test_each_failure_is_retried_or_given_up(path: Path) -> None:
    error, verdict, expected = load_cause(path)
    answer = diagnose(CALL, error, verdict)
    job, [failure] = answer["call"], answer["call"]["failures"]
    assert (failure["class"], failure["message"]) == (expected["class"], expected["message"])
    if expected["then"] is None:
        assert answer["next"] == "give_up"
        assert "then" not in failure
        assert {name: job[name] for name in CALL} == CALL
        assert (job["gave_up"]["class"], job["gave_up"]["log"]) == (expected["class"], expected["log"])
    else:
        assert (answer["next"], failure["then"]) == ("CallVariants", expected["then"])
        assert {name: job[name] for name in CALL} == {**CALL, **CHANGES[expected["then"]], "attempt": "2"}
        assert "gave_up" not in job


def test_the_end_of_a_step_explains_the_failure_completely() -> None:
    error, verdict, _ = load_cause(FOLDER / "tool_failed.json")
    message = "samtools ended with exit code 1: [E::hts_open] no"
    advice = "Check the tool's last lines and its log, correct the cause, then run `seqdrop resume RUN`."
    log = "seqdrop-JobLogGroup bwa_mem3/default/7c1f5a643c0e4f5e9a550f1d3c8a2b11"
    assert diagnose(CALL, error, verdict)["call"]["gave_up"] == {
        "class": "TOOL_FAILED",
        "message": message,
        "advice": advice,
        "tool_lines": ["[E::hts_open] no"],
        "log": log,
        "cause": f"{message}\nClass: TOOL_FAILED in call\nWhat to do: {advice}\nThe tool's last lines:\n"
        f"  [E::hts_open] no\nLog: {log}",
    }


def test_five_printable_lines_of_a_tool_are_kept() -> None:
    hostile = ["\x1b[31mred\x1b[0m\x07", "50 %\ra\tb", "x" * 1_000_000, "\u202etxt.exe\ud800", "last\x00"]
    verdict = Verdict("TOOL_FAILED", "\x1b]0;title\x07m\n" + "y" * 9_000, stderr_tail=("first", *hostile), job_id="j")
    gave_up = diagnose(CALL, error_of("exit_3_no_verdict"), verdict)["call"]["gave_up"]
    assert gave_up["tool_lines"] == ["red", "a b", "x" * 197 + "...", "txt.exe", "last"]
    assert gave_up["message"] == "m " + "y" * 395 + "..."
    assert len(gave_up["cause"]) < 2_000


def test_a_full_disk_is_retried_once_with_a_whole_instance() -> None:
    error, full, _ = load_cause(FOLDER / "disk_full.json")
    first = diagnose(CALL, error, full)
    assert (first["next"], first["call"]["vcpus"], first["call"]["attempt"]) == ("CallVariants", "64", "2")
    assert diagnose(first["call"], error, full)["next"] == "give_up"
    assert diagnose(CALL, error, full, whole_instance="")["next"] == "give_up"


@pytest.mark.parametrize(
    ("vcpus", "memory", "more"),
    [
        ("4", "8000", {"vcpus": "8", "memory": "16000"}),
        ("48", "96000", {"vcpus": "64", "memory": "128000"}),
        ("1", "900000", {"vcpus": "2", "memory": "1048576"}),
        ("64", "128000", None),
    ],
)
@pytest.mark.parametrize("step", ["scatter", "merge"])
def test_the_children_of_an_array_job_with_a_full_disk_share_an_instance_with_half_as_many_others(
    step: str, vcpus: str, memory: str, more: dict[str, str] | None
) -> None:
    error, full, _ = load_cause(FOLDER / "disk_full.json")
    job = {**CALL, "vcpus": vcpus, "memory": memory}
    answer = diagnosis.diagnose({"run": "r", step: {**job, "error": error}}, step, full, "last", "64")
    assert {name: answer[step][name] for name in CALL} == {**job, **({**more, "attempt": "2"} if more else {})}
    if more:
        [failure] = answer[step]["failures"]
        expected = f"more of an instance's disk, with {more['vcpus']} vCPUs and {more['memory']} MiB for each child"
        assert failure["then"] == expected
    else:
        assert answer["next"] == "give_up"


def test_each_failure_class_is_retried_once() -> None:
    first = diagnose(CALL, error_of("exit_137_out_of_memory"))
    second = diagnose(first["call"], error_of("exit_137_out_of_memory"))
    assert (first["next"], second["next"]) == ("CallVariants", "give_up")
    assert second["call"]["memory"] == "4096"
    message = "OUT_OF_MEMORY: The job used more memory than its limit and was killed."
    assert diagnosis.describe_tries("call", second["call"]["failures"]) == [
        f"call, try 1: {message}; then: memory doubled to 4096 MiB",
        f"call, try 2: {message}",
    ]


def test_the_description_of_a_try_has_the_attempts_of_batch() -> None:
    [line] = diagnosis.describe_tries("call", diagnose(CALL, error_of("spot_three_times"))["call"]["failures"])
    assert line == (
        "call, try 1 (3 attempts): SPOT_RECLAIMED: The instance was reclaimed while the job ran, on every attempt.;"
        " then: on-demand instances only"
    )


def test_a_single_try_has_no_description() -> None:
    assert diagnosis.describe_tries("call", diagnose(CALL, error_of("timeout"))["call"]["failures"]) == []


def test_memory_is_not_raised_above_the_largest_instance() -> None:
    error = error_of("exit_137_out_of_memory")
    assert diagnose({**CALL, "memory": "900000"}, error)["call"]["memory"] == "1048576"
    assert diagnose({**CALL, "memory": "1048576"}, error)["next"] == "give_up"


def test_a_job_that_is_not_placed_in_the_last_resort_queue_is_given_up() -> None:
    assert diagnose({**CALL, "job_queue": "last"}, error_of("no_capacity"))["next"] == "give_up"


def test_a_step_with_different_failures_has_at_most_three_tries() -> None:
    job, next_states = CALL, []
    for name in ("exit_137_out_of_memory", "spot_three_times", "image_unknown", "start_docker_timeout"):
        answer = diagnose(job, error_of(name))
        job, next_states = answer["call"], [*next_states, answer["next"]]
        if answer["next"] == "give_up":
            break
    assert next_states == ["CallVariants", "CallVariants", "give_up"]
    assert {name: job[name] for name in CALL} == {**CALL, "memory": "4096", "job_queue": "last", "attempt": "3"}
    assert [failure.get("then") for failure in job["failures"]] == [
        "memory doubled to 4096 MiB",
        "on-demand instances only",
        None,
    ]


@pytest.mark.parametrize(("attempt", "next_state"), [("2", "CallVariants"), ("3", "give_up"), ("4", "give_up")])
def test_there_is_no_fourth_try(attempt: str, next_state: str) -> None:
    assert diagnose({**CALL, "attempt": attempt}, error_of("image_unknown"))["next"] == next_state


def test_the_plan_of_another_try_has_neither_error_nor_cause() -> None:
    plan = event("diagnose_spot_reclaimed")
    answer = diagnosis.diagnose(plan, "align", None, "last")
    assert "error" not in answer["align"]
    assert len(json.dumps(answer)) < len(json.dumps(event("execution_input"))) + 350


def test_the_plan_itself_is_not_changed() -> None:
    plan = event("diagnose_out_of_memory")
    diagnosis.diagnose(plan, "align", None, "last")
    assert plan == event("diagnose_out_of_memory")
