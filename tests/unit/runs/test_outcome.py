"""seqdrop.runs.outcome: the end of a run from its plan, its execution and its results folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from seqdrop.failure import advice
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import steps
from seqdrop.runs import outcome
from seqdrop.runs.outcome import RunEnding
from seqdrop.runs.receipts import ResultsFolder
from support.function_aws import RESULTS, event

GAVE_UP = {"class": "TOOL_FAILED", "message": "samtools ended with exit code 1", "advice": "See the log."}


def succeeded() -> dict[str, Any]:
    plan: dict[str, Any] = event("record_run_succeeded")["plan"]
    return plan


def test_a_run_succeeded_when_all_its_jobs_did() -> None:
    assert outcome.from_plan(succeeded()) == RunEnding("SUCCEEDED")


@pytest.mark.parametrize(("step", "status"), [("call", "FAILED"), ("annotate", "FAILED"), ("collect", "INCOMPLETE")])
def test_a_step_that_was_given_up_in_a_branch_decides_the_status(step: str, status: str) -> None:
    plan = succeeded()
    plan["analysis"][step] = {**plan[step], "gave_up": GAVE_UP}
    assert outcome.from_plan(plan) == RunEnding(status, "TOOL_FAILED", "samtools ended with exit code 1", step)


@pytest.mark.parametrize(("step", "status"), [("align", "FAILED"), ("compose", "INCOMPLETE")])
def test_a_step_that_was_given_up_outside_the_branches_decides_the_status(step: str, status: str) -> None:
    plan = succeeded()
    plan[step]["gave_up"] = GAVE_UP
    assert outcome.from_plan(plan) == RunEnding(status, "TOOL_FAILED", "samtools ended with exit code 1", step)


def test_the_first_of_several_failed_steps_is_reported() -> None:
    plan = succeeded()
    plan["analysis"]["collect"] = {**plan["collect"], "gave_up": GAVE_UP}
    plan["analysis"]["annotate"] = {**plan["annotate"], "gave_up": {**GAVE_UP, "class": "OUT_OF_MEMORY"}}
    assert outcome.from_plan(plan).step == "annotate"


def test_a_failure_of_diagnose_is_internal() -> None:
    plan = succeeded()
    plan["align"]["error"] = {"Error": "States.TaskFailed", "Cause": "{}"}
    plan["undiagnosed"] = {"Error": "Lambda.Unknown"}
    message = "The job failed, and the function diagnose failed too; see its log."
    assert outcome.from_plan(plan) == RunEnding("FAILED", "INTERNAL", message, "align")


def test_a_failure_between_two_jobs_is_internal() -> None:
    message = "The state machine failed between two jobs; see its history."
    assert outcome.from_plan({**succeeded(), "undiagnosed": {}}) == RunEnding("FAILED", "INTERNAL", message)


FAILURES = [
    {"class": "SPOT_RECLAIMED", "message": "lost", "step": "align", "attempts": 3, "then": "on-demand instances only"},
    {"class": "TOOL_FAILED", "message": "no", "step": "collect", "attempts": 1},
]
TRIED = (
    "align, try 1 (3 attempts): SPOT_RECLAIMED: lost; then: on-demand instances only",
    "collect, try 2: TOOL_FAILED: no",
)


def test_the_failure_in_a_job_with_all_steps_is_that_of_its_step() -> None:
    end = {"class": "OUT_OF_MEMORY", "message": "no"}
    plan = {**succeeded(), "form": "fused", "fused": {"failures": FAILURES}}
    plan.pop("analysis", None)
    assert outcome.from_plan(plan) == RunEnding("SUCCEEDED", tried=TRIED)
    plan["collect"] = {**plan["collect"], "gave_up": end}
    ending = RunEnding("INCOMPLETE", "OUT_OF_MEMORY", "no", "collect", tried=TRIED, job="fused")
    assert outcome.from_plan(plan) == ending
    assert "raise FusedMemory of the stack" in ending.row()["advice"]
    assert RunEnding.from_row(ending.row()) == ending
    plan["fused"] = {"error": {"Error": "States.TaskFailed"}}
    del plan["collect"]["gave_up"]
    assert outcome.from_plan(plan).failure_class == "INTERNAL"


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
def test_an_execution_that_recorded_nothing_has_an_ending(
    status: str, error: str, cause: str, ending: RunEnding
) -> None:
    assert outcome.from_execution(status, error, cause) == ending


def test_only_runs_with_results_publish_them() -> None:
    statuses = ("SUCCEEDED", "INCOMPLETE", "QC_FAILED", "FAILED", "ABORTED", "TIMED_OUT")
    assert [status for status in statuses if RunEnding(status).publishes] == ["SUCCEEDED", "INCOMPLETE", "QC_FAILED"]


def judged(result: str, *, enforced: bool) -> ResultsFolder:
    """Return the folder of a run whose report has judged it."""
    qc = {"result": result, "policy": "exome of seqdrop", "reasons": ["a: 1x, under 2x", "b"], "enforced": enforced}
    return ResultsFolder(OBJECTS, {**RECEIPTS, "compose": {**RECEIPTS["compose"], "qc": qc}})


def test_a_run_that_fails_the_policy_that_it_chose_has_failed_with_its_results() -> None:
    ending = outcome.verify(RunEnding("SUCCEEDED", tried=("t",)), succeeded(), judged("FAIL", enforced=True))
    message = "The figures of this run are beyond the limits of its QC policy (exome of seqdrop): a: 1x, under 2x; b."
    assert ending == RunEnding("QC_FAILED", "QC", message, "compose", tried=("t",))


@pytest.mark.parametrize(("result", "enforced"), [("FAIL", False), ("WARN", True), ("PASS", True)])
def test_another_verdict_of_a_policy_does_not_change_the_end_of_a_run(result: str, enforced: bool) -> None:
    ending = RunEnding("SUCCEEDED")
    assert outcome.verify(ending, succeeded(), judged(result, enforced=enforced)) == ending


def test_a_missing_step_does_not_hide_a_failed_policy() -> None:
    ending = outcome.verify(
        RunEnding("INCOMPLETE", "NO_SPACE", "The disk is full.", "collect"), succeeded(), judged("FAIL", enforced=True)
    )
    assert (ending.status, ending.failure_class) == ("QC_FAILED", "QC")
    assert ending.message.endswith(" The step collect is missing too: The disk is full.")


def test_a_deleted_step_does_not_hide_a_failed_policy() -> None:
    found = judged("FAIL", enforced=True)
    left = {uri: value for uri, value in found.objects.items() if not uri.endswith("/collect")}
    ending = outcome.verify(RunEnding("SUCCEEDED"), succeeded(), ResultsFolder(left, found.receipts))
    assert ending.status == "QC_FAILED"
    assert " The step collect is missing too: Outputs of this step were deleted" in ending.message


def test_an_ending_of_a_row_is_judged_once() -> None:
    """A pending notification is sent with the ending that the row has."""
    failed = outcome.verify(RunEnding("SUCCEEDED"), succeeded(), judged("FAIL", enforced=True))
    assert outcome.verify(failed, succeeded(), judged("FAIL", enforced=True)) == failed
    plan, others = succeeded(), [name for name in steps.names() if name != "compose"]
    plan["compose"]["args"] = '["--hold"]'
    held = outcome.verify(RunEnding("SUCCEEDED"), plan, folder(others))
    assert (held.status, held.failure_class, "wait for it" in held.message) == ("INCOMPLETE", "INTERNAL", True)
    assert outcome.verify(RunEnding.from_row(held.row()), plan, folder(others)) == held


@pytest.mark.parametrize("args", ['["--policy","exome"]', '"--hold"', "5"])
def test_a_run_that_did_not_choose_to_hold_is_not_held_without_a_report(args: str) -> None:
    plan = succeeded()
    plan["compose"]["args"] = args
    assert not outcome.is_held(plan, ResultsFolder())


@pytest.mark.parametrize(
    ("args", "is_held"), [("[]", True), ('["--policy","exome"]', False), ('["--policy=exome","--hold"]', True)]
)
def test_a_policy_that_holds_and_has_no_report_holds(args: str, is_held: bool) -> None:
    """`publish: hold` beside the reference, as start_run has pinned it."""
    plan, others = succeeded(), folder([name for name in steps.names() if name != "compose"])
    plan["compose"]["args"] = args
    found = ResultsFolder(others.objects, others.receipts, reference={"qc_hold": True})
    assert outcome.is_held(plan, found) is is_held
    ending = outcome.verify(RunEnding("SUCCEEDED"), plan, found)
    assert ending.message.endswith("` builds the report.") is is_held
    assert not outcome.is_held(plan, ResultsFolder(found.objects, found.receipts, reference={"qc_hold": "no"})) or (
        "--hold" in args
    )


def test_an_execution_that_ended_by_a_failed_policy_is_judged_by_its_receipts() -> None:
    assert outcome.from_execution("FAILED", "QC", "x") == RunEnding("SUCCEEDED")


def test_the_row_of_a_succeeded_run_has_its_status_only() -> None:
    assert RunEnding("SUCCEEDED").row() == {"status": "SUCCEEDED"}


def test_the_row_of_a_failed_run_has_class_message_and_advice() -> None:
    assert RunEnding(
        "FAILED", "OUT_OF_MEMORY", "The job was killed.", "align", ("[M::bwa]",), "g s", ("once",)
    ).row() == {
        "status": "FAILED",
        "step": "align",
        "class": "OUT_OF_MEMORY",
        "message": "The job was killed.",
        "advice": advice.get("OUT_OF_MEMORY", "align"),
        "tool_lines": ["[M::bwa]"],
        "log": "g s",
        "tried": ["once"],
    }


def test_the_state_machine_ends_with_the_class_and_the_explanation() -> None:
    assert RunEnding("SUCCEEDED").answer() == {"status": "SUCCEEDED", "class": "", "cause": ""}
    answer = RunEnding("FAILED", "STOPPED", "It was stopped.").answer()
    assert (answer["class"], answer["cause"].splitlines()) == (
        "STOPPED",
        ["It was stopped.", "Class: STOPPED", f"What to do: {advice.get('STOPPED')}"],
    )


def test_retries_are_reported_also_when_the_run_succeeded() -> None:
    plan = succeeded()
    failure = {"class": "SPOT_RECLAIMED", "message": "Taken.", "job_id": "j", "attempts": 3, "then": "on-demand"}
    plan["analysis"]["call"]["failures"] = [failure]
    assert outcome.from_plan(plan) == RunEnding(
        "SUCCEEDED", tried=("call, try 1 (3 attempts): SPOT_RECLAIMED: Taken.; then: on-demand",)
    )


def test_a_plan_of_start_run_is_valid() -> None:
    assert outcome.check_plan(event("execution_input"), RESULTS) is None
    assert outcome.check_plan(succeeded(), RESULTS) is None


ADDRESSES = ("results", "reads", "bam", "stats", "vcf", "gvcf", "annotated_vcf", "report", "manifest")


@pytest.mark.parametrize("word", ADDRESSES)
def test_a_plan_with_the_address_of_another_run_is_refused(word: str) -> None:
    refused = outcome.check_plan({**succeeded(), word: f"s3://{RESULTS}/NA12878/other/x"}, RESULTS)
    assert refused
    assert refused.failure_class == "BAD_INPUT.PLAN"
    assert refused.message.endswith(f"These addresses are not its own: {word}.")


@pytest.mark.parametrize("word", ["results", "reads", "manifest"])
def test_a_plan_without_an_address_that_every_plan_has_is_refused(word: str) -> None:
    assert outcome.check_plan({name: value for name, value in succeeded().items() if name != word}, RESULTS)


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        (None, "It is not a JSON object."),
        ([], "It is not a JSON object."),
        ("plan", "It is not a JSON object."),
        ({}, "Its version is None; this deployment reads versions up to 1."),
        ({**succeeded(), "version": 2}, "Its version is 2; this deployment reads versions up to 1."),
        ({**succeeded(), "version": "1"}, "Its version is '1'; this deployment reads versions up to 1."),
        ({"version": 1, "sample": 7, "run": "r"}, "It has no valid sample and run."),
        ({**succeeded(), "sample": "../x"}, "It has no valid sample and run."),
        ({**succeeded(), "run": "a/b"}, "It has no valid sample and run."),
        ({**succeeded(), "lanes": 10**9}, "It has no valid number of lanes."),
        ({**succeeded(), "lanes": True}, "It has no valid number of lanes."),
        ({**succeeded(), "parts": 0}, "It has no valid number of parts."),
        ({**succeeded(), "parts": 10**9}, "It has no valid number of parts."),
        ({**succeeded(), "parts": "7"}, "It has no valid number of parts."),
        ({**succeeded(), "alignment_format": ["bam"]}, "It has no valid format of the aligned reads."),
        ({**succeeded(), "alignment_format": "cram"}, "These addresses are not its own: bam."),
        ({**succeeded(), "steps": []}, "It has no settings for its steps."),
        ({**succeeded(), "steps": ["align", "sample"]}, "It has no settings for its steps."),
        ({**succeeded(), "steps": ["align", ["call"]]}, "It has no settings for its steps."),
        ({**succeeded(), "steps": {"align": {}}}, "It has no settings for its steps."),
    ],
)
def test_an_invalid_plan_is_refused(plan: Any, error: str) -> None:
    refused = outcome.check_plan(plan, RESULTS)
    assert refused
    assert (refused.failure_class, refused.publishes) == ("BAD_INPUT.PLAN", False)
    assert refused.message == f"The plan of this run was not made by start_run. {error}"


def test_a_plan_for_another_bucket_is_refused() -> None:
    assert outcome.check_plan(succeeded(), "another-bucket")


def receipt(step: str) -> dict[str, Any]:
    return {"outputs": [{"uri": f"s3://{RESULTS}/{step}", "etag": "e", "size": 7}]}


RECEIPTS = {step: receipt(step) for step in steps.names()}
OBJECTS = {f"s3://{RESULTS}/{step}": ("e", 7) for step in steps.names()}


def folder(receipts: Iterable[str] = steps.names(), missing: Iterable[str] = (), **verdicts: Verdict) -> ResultsFolder:
    """A results folder with these receipts, without the outputs of the `missing` steps."""
    objects = {uri: pin for uri, pin in OBJECTS.items() if uri.rpartition("/")[2] not in set(missing)}
    return ResultsFolder(objects, {step: RECEIPTS[step] for step in receipts}, verdicts)


def test_a_receipt_is_complete_while_its_outputs_are_unchanged() -> None:
    changed = {**OBJECTS, f"s3://{RESULTS}/call": ("f", 7), f"s3://{RESULTS}/align": ("e", 8)}
    del changed[f"s3://{RESULTS}/compose"]
    assert folder().complete == RECEIPTS
    assert list(ResultsFolder(changed, RECEIPTS).complete) == ["annotate", "collect"]


@pytest.mark.parametrize(("step", "status"), [("align", "FAILED"), ("annotate", "FAILED"), ("compose", "INCOMPLETE")])
def test_missing_outputs_and_missing_receipts_end_a_run(step: str, status: str) -> None:
    deleted = outcome.verify(RunEnding("SUCCEEDED"), succeeded(), folder(missing=[step]))
    assert (deleted.status, deleted.failure_class, deleted.step) == (status, "RESULTS_CHANGED", step)
    others = [name for name in steps.names() if name != step]
    never = outcome.verify(RunEnding("SUCCEEDED"), succeeded(), folder(others))
    assert (never.status, never.failure_class, never.step) == (status, "INTERNAL", step)


def test_the_last_verdict_explains_a_run_that_was_not_recorded() -> None:
    verdict = Verdict("TOOL_FAILED", "bwa failed\x07", stderr_tail=tuple("abcdef"), job_id="j")
    reported = outcome.from_execution("FAILED", "NOT_RECORDED", "")
    ending = outcome.verify(reported, succeeded(), folder([], align=verdict))
    assert ending == RunEnding("FAILED", "TOOL_FAILED", "bwa failed", "align", tuple("bcdef"))


def test_a_step_that_the_ending_names_is_not_reported_again() -> None:
    ending = RunEnding("INCOMPLETE", "TOOL_FAILED", "m", "collect")
    others = [name for name in steps.names() if name != "collect"]
    assert outcome.verify(ending, succeeded(), folder(others)) == ending
    assert outcome.verify(ending, succeeded(), folder(others, missing=steps.names())).status == "FAILED"


def test_the_folder_of_a_failed_run_is_not_verified() -> None:
    failed = RunEnding("FAILED", "STOPPED")
    assert outcome.verify(failed, succeeded(), ResultsFolder()) == failed
