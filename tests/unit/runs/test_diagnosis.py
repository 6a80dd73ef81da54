"""seqdrop.runs.diagnosis: what is tried next, and when it is over."""

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


def asked(job: dict[str, Any], error: dict[str, Any], verdict: Verdict | None = None, whole: str = "64") -> Any:
    """What the doctor makes of a plan in which this job has just failed."""
    return diagnosis.diagnose({"run": "r", "call": {**job, "error": error}}, "call", verdict, "last", whole)


def named(name: str) -> dict[str, Any]:
    return load_cause(FOLDER / f"{name}.json")[0]


@pytest.mark.parametrize("path", CAUSES, ids=[path.stem for path in CAUSES])
def test_each_failure_is_cured_or_given_up(path: Path) -> None:
    error, verdict, expected = load_cause(path)
    answer = asked(CALL, error, verdict)
    job, [failed] = answer["call"], answer["call"]["failures"]
    assert (failed["class"], failed["message"]) == (expected["class"], expected["message"])
    if expected["then"] is None:
        assert answer["next"] == "give_up"
        assert "then" not in failed
        assert {name: job[name] for name in CALL} == CALL
        assert (job["gave_up"]["class"], job["gave_up"]["log"]) == (expected["class"], expected["log"])
    else:
        assert (answer["next"], failed["then"]) == ("CallVariants", expected["then"])
        assert {name: job[name] for name in CALL} == {**CALL, **CHANGES[expected["then"]], "attempt": "2"}
        assert "gave_up" not in job


def test_what_is_given_up_says_all_there_is_to_say() -> None:
    error, verdict, _ = load_cause(FOLDER / "tool_failed.json")
    message = "samtools ended with exit code 1: [E::hts_open] no"
    advice = "Check the tool's last lines and its log, correct the cause, then run `seqdrop resume RUN`."
    log = "seqdrop-JobLogGroup bwa_mem3/default/7c1f5a643c0e4f5e9a550f1d3c8a2b11"
    assert asked(CALL, error, verdict)["call"]["gave_up"] == {
        "class": "TOOL_FAILED",
        "message": message,
        "advice": advice,
        "tool_lines": ["[E::hts_open] no"],
        "log": log,
        "cause": f"{message}\nClass: TOOL_FAILED in call\nWhat to do: {advice}\nThe tool's last lines:\n"
        f"  [E::hts_open] no\nLog: {log}",
    }


def test_the_last_lines_of_a_tool_are_five_and_fit_to_be_read() -> None:
    hostile = ["\x1b[31mred\x1b[0m\x07", "50 %\ra\tb", "x" * 1_000_000, "\u202etxt.exe\ud800", "last\x00"]
    verdict = Verdict("TOOL_FAILED", "\x1b]0;title\x07m\n" + "y" * 9_000, stderr_tail=("first", *hostile), job_id="j")
    gave_up = asked(CALL, named("exit_3_no_verdict"), verdict)["call"]["gave_up"]
    assert gave_up["tool_lines"] == ["red", "a b", "x" * 197 + "...", "txt.exe", "last"]
    assert gave_up["message"] == "m " + "y" * 395 + "..."
    assert len(gave_up["cause"]) < 2_000


def test_a_full_disk_is_tried_once_more_with_an_instance_of_its_own() -> None:
    error, full, _ = load_cause(FOLDER / "disk_full.json")
    first = asked(CALL, error, full)
    assert (first["next"], first["call"]["vcpus"], first["call"]["attempt"]) == ("CallVariants", "64", "2")
    assert asked(first["call"], error, full)["next"] == "give_up"
    assert asked(CALL, error, full, whole="")["next"] == "give_up"


def test_each_cure_is_tried_once() -> None:
    first = asked(CALL, named("exit_137_out_of_memory"))
    second = asked(first["call"], named("exit_137_out_of_memory"))
    assert (first["next"], second["next"]) == ("CallVariants", "give_up")
    assert second["call"]["memory"] == "4096"
    killed = "OUT_OF_MEMORY: The job used more memory than its limit and was killed."
    assert diagnosis.describe_tries("call", second["call"]["failures"]) == [
        f"call, try 1: {killed}; then: memory doubled to 4096 MiB",
        f"call, try 2: {killed}",
    ]


def test_the_attempts_of_batch_within_a_try_are_counted() -> None:
    [line] = diagnosis.describe_tries("call", asked(CALL, named("spot_three_times"))["call"]["failures"])
    assert line == (
        "call, try 1 (3 attempts): SPOT_RECLAIMED: The instance was reclaimed while the job ran, on every attempt.;"
        " then: on-demand instances only"
    )


def test_of_one_try_alone_there_is_nothing_to_count() -> None:
    assert diagnosis.describe_tries("call", asked(CALL, named("timeout"))["call"]["failures"]) == []


def test_memory_is_never_more_than_an_instance_has() -> None:
    error = named("exit_137_out_of_memory")
    assert asked({**CALL, "memory": "900000"}, error)["call"]["memory"] == "1048576"
    assert asked({**CALL, "memory": "1048576"}, error)["next"] == "give_up"


def test_a_job_not_placed_in_the_last_resort_is_given_up() -> None:
    assert asked({**CALL, "job_queue": "last"}, named("no_capacity"))["next"] == "give_up"


def test_the_tries_of_a_step_are_bounded_whatever_fails() -> None:
    job, followed = CALL, []
    for name in ("exit_137_out_of_memory", "spot_three_times", "image_unknown", "start_docker_timeout"):
        answer = asked(job, named(name))
        job, followed = answer["call"], [*followed, answer["next"]]
        if answer["next"] == "give_up":
            break
    assert followed == ["CallVariants", "CallVariants", "give_up"]
    assert {name: job[name] for name in CALL} == {**CALL, "memory": "4096", "job_queue": "last", "attempt": "3"}
    assert [failed.get("then") for failed in job["failures"]] == [
        "memory doubled to 4096 MiB",
        "on-demand instances only",
        None,
    ]


def test_a_next_try_leaves_no_error_and_no_cause_in_the_plan() -> None:
    shown = event("diagnose_spot_reclaimed")
    answer = diagnosis.diagnose(shown, "align", None, "last")
    assert "error" not in answer["align"]
    assert len(json.dumps(answer)) < len(json.dumps(event("execution_input"))) + 350


def test_the_plan_that_came_is_left_as_it_was() -> None:
    shown = event("diagnose_out_of_memory")
    diagnosis.diagnose(shown, "align", None, "last")
    assert shown == event("diagnose_out_of_memory")
