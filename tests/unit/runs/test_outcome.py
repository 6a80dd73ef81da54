"""seqdrop.runs.outcome: how a run ended, by its plan and by what lies in its folder."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.failure import advice
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout
from seqdrop.runs import outcome
from seqdrop.runs.outcome import RunEnding
from support.function_aws import RESULTS, event

GAVE_UP = {"class": "TOOL_FAILED", "message": "samtools ended with exit code 1", "advice": "Look."}


def succeeded() -> dict[str, Any]:
    plan: dict[str, Any] = event("record_run_succeeded")["plan"]
    return plan


def test_a_run_whose_jobs_all_ended_well_succeeded() -> None:
    assert outcome.outcome(succeeded()) == RunEnding("SUCCEEDED")


@pytest.mark.parametrize(("step", "status"), [("call", "FAILED"), ("annotate", "FAILED"), ("collect", "INCOMPLETE")])
def test_what_was_given_up_in_a_branch_decides_how_the_run_ended(step: str, status: str) -> None:
    plan = succeeded()
    plan["analysis"][step] = {**plan[step], "gave_up": GAVE_UP}
    assert outcome.outcome(plan) == RunEnding(status, "TOOL_FAILED", "samtools ended with exit code 1", step)


@pytest.mark.parametrize(("step", "status"), [("align", "FAILED"), ("compose", "INCOMPLETE")])
def test_so_does_what_was_given_up_outside(step: str, status: str) -> None:
    plan = succeeded()
    plan[step]["gave_up"] = GAVE_UP
    assert outcome.outcome(plan) == RunEnding(status, "TOOL_FAILED", "samtools ended with exit code 1", step)


def test_what_matters_most_is_said_of_several() -> None:
    plan = succeeded()
    plan["analysis"]["collect"] = {**plan["collect"], "gave_up": GAVE_UP}
    plan["analysis"]["annotate"] = {**plan["annotate"], "gave_up": {**GAVE_UP, "class": "OUT_OF_MEMORY"}}
    assert outcome.outcome(plan).step == "annotate"


def test_an_error_that_the_doctor_left_is_a_fault_of_the_pipeline() -> None:
    plan = succeeded()
    plan["align"]["error"] = {"Error": "States.TaskFailed", "Cause": "{}"}
    plan["undiagnosed"] = {"Error": "Lambda.Unknown"}
    message = "The job failed, and the function diagnose did too; see its log."
    assert outcome.outcome(plan) == RunEnding("FAILED", "INTERNAL", message, "align")


def test_a_failure_between_jobs_is_one_too() -> None:
    message = "The machine failed between two jobs; see its history."
    assert outcome.outcome({**succeeded(), "undiagnosed": {}}) == RunEnding("FAILED", "INTERNAL", message)


@pytest.mark.parametrize(
    ("status", "error", "cause", "ending"),
    [
        ("ABORTED", "", "", RunEnding("ABORTED", "STOPPED", "The run was stopped.")),
        ("ABORTED", "Stopped", "wrong sample", RunEnding("ABORTED", "STOPPED", "The run was stopped: wrong sample.")),
        (
            "TIMED_OUT",
            "States.Timeout",
            "",
            RunEnding("TIMED_OUT", "TIMEOUT", "The run took longer than the state machine allows."),
        ),
        ("SUCCEEDED", "", "", RunEnding("SUCCEEDED")),
        ("FAILED", "BAD_INPUT.SWAPPED", "swapped\nClass: x", RunEnding("FAILED", "BAD_INPUT.SWAPPED", "swapped")),
        ("FAILED", "NOT_RECORDED", "The run could not be recorded.", RunEnding("SUCCEEDED")),
        ("FAILED", "States.Runtime", "no $.x", RunEnding("FAILED", "INTERNAL", "no $.x")),
        ("FAILED", "", "", RunEnding("FAILED", "INTERNAL", "The state machine failed; see its history.")),
    ],
)
def test_an_execution_that_closed_unseen_has_an_ending(status: str, error: str, cause: str, ending: RunEnding) -> None:
    assert outcome.closed(status, error, cause) == ending


def test_only_what_has_results_publishes() -> None:
    statuses = ("SUCCEEDED", "INCOMPLETE", "FAILED", "ABORTED", "TIMED_OUT")
    assert [status for status in statuses if RunEnding(status).publishes] == ["SUCCEEDED", "INCOMPLETE"]


def test_the_row_of_a_good_run_says_no_more_than_that() -> None:
    assert RunEnding("SUCCEEDED").row() == {"status": "SUCCEEDED"}


def test_the_row_of_a_bad_one_says_what_and_why_and_what_to_do() -> None:
    assert RunEnding(
        "FAILED", "OUT_OF_MEMORY", "The job was killed.", "align", ("[M::bwa]",), "g s", ("once",)
    ).row() == {
        "status": "FAILED",
        "step": "align",
        "class": "OUT_OF_MEMORY",
        "message": "The job was killed.",
        "advice": "Give this step more memory: raise AlignMemory of the stack, then run `seqdrop resume RUN`.",
        "tool_lines": ["[M::bwa]"],
        "log": "g s",
        "tried": ["once"],
    }


def test_the_machine_ends_with_the_class_and_with_all_that_is_to_be_said() -> None:
    assert RunEnding("SUCCEEDED").answer() == {"status": "SUCCEEDED", "class": "", "cause": ""}
    said = RunEnding("FAILED", "STOPPED", "It was stopped.").answer()
    assert (said["class"], said["cause"].splitlines()) == (
        "STOPPED",
        ["It was stopped.", "Class: STOPPED", f"What to do: {advice.get('STOPPED')}"],
    )


def test_what_was_tried_is_told_though_all_went_well_in_the_end() -> None:
    plan = succeeded()
    failed = {"class": "SPOT_RECLAIMED", "message": "Taken.", "job_id": "j", "attempts": 3, "then": "on-demand"}
    plan["analysis"]["call"]["failures"] = [failed]
    assert outcome.outcome(plan) == RunEnding(
        "SUCCEEDED", tried=("call, try 1 (3 attempts): SPOT_RECLAIMED: Taken.; then: on-demand",)
    )


def test_a_plan_of_start_run_is_in_its_place() -> None:
    assert outcome.misplaced(event("execution_input"), RESULTS) is None
    assert outcome.misplaced(succeeded(), RESULTS) is None


@pytest.mark.parametrize("word", outcome.ADDRESSES)
def test_a_plan_with_the_address_of_another_is_refused(word: str) -> None:
    refused = outcome.misplaced({**succeeded(), word: f"s3://{RESULTS}/NA12878/other/x"}, RESULTS)
    assert refused
    assert refused.failure_class == "BAD_INPUT.PLAN"
    assert refused.message.endswith(f"These addresses are not its own: {word}.")
    assert outcome.misplaced({name: value for name, value in succeeded().items() if name != word}, RESULTS)


@pytest.mark.parametrize("plan", [
    None, [], "plan", {}, {"sample": 7, "run": "r"}, {**succeeded(), "sample": "../x"}, {**succeeded(), "run": "a/b"},
])  # fmt: skip
def test_what_is_no_plan_is_refused(plan: Any) -> None:
    refused = outcome.misplaced(plan, RESULTS)
    assert refused
    assert (refused.failure_class, refused.publishes) == ("BAD_INPUT.PLAN", False)


def test_a_plan_for_another_bucket_is_refused() -> None:
    assert outcome.misplaced(succeeded(), "another-bucket")


def receipt(step: str) -> dict[str, Any]:
    return {"outputs": [{"uri": f"s3://{RESULTS}/{step}", "etag": "e", "size": 7}]}


RECEIPTS = {step: receipt(step) for step in layout.STEPS}
THERE = {f"s3://{RESULTS}/{step}": ("e", 7) for step in layout.STEPS}


def test_a_receipt_is_whole_while_its_outputs_lie_as_they_were_published() -> None:
    there = {**THERE, f"s3://{RESULTS}/call": ("f", 7), f"s3://{RESULTS}/align": ("e", 8)}
    del there[f"s3://{RESULTS}/compose"]
    assert outcome.whole(RECEIPTS, THERE) == RECEIPTS
    assert list(outcome.whole(RECEIPTS, there)) == ["annotate", "collect"]


@pytest.mark.parametrize(("step", "status"), [("align", "FAILED"), ("annotate", "FAILED"), ("compose", "INCOMPLETE")])
def test_a_run_is_no_better_than_what_lies_there(step: str, status: str) -> None:
    complete = {name: value for name, value in RECEIPTS.items() if name != step}
    gone = outcome.proven(RunEnding("SUCCEEDED"), RECEIPTS, complete, {})
    assert (gone.status, gone.failure_class, gone.step) == (status, "RESULTS_CHANGED", step)
    never = outcome.proven(RunEnding("SUCCEEDED"), complete, complete, {})
    assert (never.status, never.failure_class, never.step) == (status, "INTERNAL", step)


def test_of_a_run_that_nobody_recorded_its_last_verdict_says_why() -> None:
    verdict = Verdict("TOOL_FAILED", "bwa failed\x07", stderr_tail=tuple("abcdef"), job_id="j")
    ending = outcome.proven(outcome.closed("FAILED", "NOT_RECORDED", ""), {}, {}, {"align": verdict})
    assert ending == RunEnding("FAILED", "TOOL_FAILED", "bwa failed", "align", tuple("bcdef"))


def test_a_step_that_is_known_to_be_missing_is_not_asked_for_again() -> None:
    ending = RunEnding("INCOMPLETE", "TOOL_FAILED", "m", "collect")
    complete = {name: value for name, value in RECEIPTS.items() if name != "collect"}
    assert outcome.proven(ending, complete, complete, {}) == ending
    assert outcome.proven(ending, complete, {}, {}).status == "FAILED"


def test_a_failed_run_is_asked_for_nothing() -> None:
    assert outcome.proven(RunEnding("FAILED", "STOPPED"), {}, {}, {}) == RunEnding("FAILED", "STOPPED")
