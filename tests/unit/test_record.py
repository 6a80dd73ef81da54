"""seqdrop.record: how an ending is said in the row, the manifest and the message."""

from __future__ import annotations

from typing import Any

import pytest
from function_aws import event
from seqdrop import record
from seqdrop.record import Ending

RUN = event("execution_input")["run"]
FOLDER = f"s3://seqdrop-resultsbucket/NA12878/{RUN}"
EXECUTION = event("record_run_succeeded")["execution"]
GAVE_UP = {"class": "TOOL_FAILED", "message": "samtools ended with exit code 1", "advice": "Look."}


def succeeded() -> dict[str, Any]:
    plan: dict[str, Any] = event("record_run_succeeded")["plan"]
    return plan


def receipt(step: str, **counts: int) -> dict[str, Any]:
    output = {"name": step, "uri": f"{FOLDER}/{step}", "version_id": "v", "etag": "e", "size": 7, "crc64nvme": "c"}
    used = {"seconds": 1800.0, "vcpus": 2, "memory": 4096}
    return {"run": RUN, "step": step, "tools": {"t": "1.0"}, **used, "counts": counts, "outputs": [output]}


RECEIPTS = {
    "align": receipt("align", reads=400, primary_records=400),
    "call": receipt("call", variants=12),
    "annotate": receipt("annotate", variants=12),
    "collect": receipt("collect", reads=400, reads_mapped=398, reads_duplicated=3),
    "compose": receipt("compose", sources=5),
}


COST = {
    "usd": 0.094,
    "vcpu_hours": 5.0,
    "gib_hours": 10.0,
    "assumed": {"usd_per_vcpu_hour": 0.017, "usd_per_gib_hour": 0.0009},
}


def test_a_run_whose_jobs_all_ended_well_succeeded() -> None:
    assert record.outcome(succeeded()) == Ending("SUCCEEDED")


@pytest.mark.parametrize(("step", "status"), [("call", "FAILED"), ("annotate", "FAILED"), ("collect", "INCOMPLETE")])
def test_what_was_given_up_in_a_branch_decides_how_the_run_ended(step: str, status: str) -> None:
    plan = succeeded()
    plan["analysis"][step] = {**plan[step], "gave_up": GAVE_UP}
    assert record.outcome(plan) == Ending(status, "TOOL_FAILED", "samtools ended with exit code 1", step)


@pytest.mark.parametrize(("step", "status"), [("align", "FAILED"), ("compose", "INCOMPLETE")])
def test_so_does_what_was_given_up_outside(step: str, status: str) -> None:
    plan = succeeded()
    plan[step]["gave_up"] = GAVE_UP
    assert record.outcome(plan) == Ending(status, "TOOL_FAILED", "samtools ended with exit code 1", step)


def test_what_matters_most_is_said_of_several() -> None:
    plan = succeeded()
    plan["analysis"]["collect"] = {**plan["collect"], "gave_up": GAVE_UP}
    plan["analysis"]["annotate"] = {**plan["annotate"], "gave_up": {**GAVE_UP, "class": "OUT_OF_MEMORY"}}
    assert record.outcome(plan).step == "annotate"


def test_an_error_that_the_doctor_left_is_a_fault_of_the_pipeline() -> None:
    plan = succeeded()
    plan["align"]["error"] = {"Error": "States.TaskFailed", "Cause": "{}"}
    plan["undiagnosed"] = {"Error": "Lambda.Unknown"}
    message = "The job failed, and the function diagnose did too; see its log."
    assert record.outcome(plan) == Ending("FAILED", "INTERNAL", message, "align")


def test_a_failure_between_jobs_is_one_too() -> None:
    message = "The machine failed between two jobs; see its history."
    assert record.outcome({**succeeded(), "undiagnosed": {}}) == Ending("FAILED", "INTERNAL", message)


@pytest.mark.parametrize(
    ("status", "error", "cause", "ending"),
    [
        ("ABORTED", "", "", Ending("ABORTED", "STOPPED", "The run was stopped.")),
        ("ABORTED", "Stopped", "wrong sample", Ending("ABORTED", "STOPPED", "The run was stopped: wrong sample.")),
        (
            "TIMED_OUT",
            "States.Timeout",
            "",
            Ending("TIMED_OUT", "TIMEOUT", "The run took longer than the state machine allows."),
        ),
        ("SUCCEEDED", "", "", Ending("SUCCEEDED")),
        ("FAILED", "BAD_INPUT.SWAPPED", "swapped", Ending("FAILED", "BAD_INPUT.SWAPPED", "swapped")),
        ("FAILED", "States.Runtime", "no $.x", Ending("FAILED", "INTERNAL", "no $.x")),
        ("FAILED", "", "", Ending("FAILED", "INTERNAL", "The state machine failed; see its history.")),
    ],
)
def test_an_execution_that_closed_unseen_has_an_ending(status: str, error: str, cause: str, ending: Ending) -> None:
    assert record.closed(status, error, cause) == ending


def test_only_what_has_results_publishes() -> None:
    statuses = ("SUCCEEDED", "INCOMPLETE", "FAILED", "ABORTED", "TIMED_OUT")
    assert [status for status in statuses if Ending(status).publishes] == ["SUCCEEDED", "INCOMPLETE"]


def test_the_row_of_a_good_run_says_no_more_than_that() -> None:
    assert Ending("SUCCEEDED").row() == {"status": "SUCCEEDED"}


def test_the_row_of_a_bad_one_says_what_and_why_and_what_to_do() -> None:
    assert Ending("FAILED", "OUT_OF_MEMORY", "The job was killed.", "align").row() == {
        "status": "FAILED",
        "step": "align",
        "class": "OUT_OF_MEMORY",
        "message": "The job was killed.",
        "advice": "Give this step more memory: raise its memory parameter of the stack.",
    }


def test_a_manifest_whole() -> None:
    receipts = {"align": RECEIPTS["align"], "call": RECEIPTS["call"]}
    plan = succeeded()
    used = {"tools": {"t": "1.0"}, "seconds": 1800.0, "vcpus": 2, "memory": 4096}
    assert record.manifest(plan, EXECUTION, Ending("INCOMPLETE"), receipts, COST) == {
        "run": RUN,
        "sample": "NA12878",
        "execution": EXECUTION,
        "complete": False,
        "missing": ["annotate", "collect", "compose"],
        "reference": "s3://seqdrop-referencebucket/demo/genome.fa",
        "intervals": "all",
        "reads": f"{FOLDER}/reads.json",
        "cost": COST,
        "outputs": [*RECEIPTS["align"]["outputs"], *RECEIPTS["call"]["outputs"]],
        "jobs": [
            {"step": "align", **used, "counts": RECEIPTS["align"]["counts"]},
            {"step": "call", **used, "counts": {"variants": 12}},
        ],
    }
    assert record.manifest(plan, EXECUTION, Ending("SUCCEEDED"), RECEIPTS, COST)["complete"] is True


def test_the_figures_of_a_run_are_three() -> None:
    assert record.figures(RECEIPTS) == {"reads": 400, "reads_mapped": 398, "variants": 12}
    assert record.figures({}) == {}


def test_the_cost_of_a_run_is_what_its_jobs_had_for_as_long_as_they_had_it() -> None:
    assert record.cost(RECEIPTS, 0.017, 0.0009) == COST
    assert record.cost({}, 0.017, 0.0009) == {**COST, "usd": 0.0, "vcpu_hours": 0.0, "gib_hours": 0.0}


def test_the_message_of_a_good_run() -> None:
    subject, lines = record.message(succeeded(), Ending("SUCCEEDED"), RECEIPTS, COST)
    assert subject == f"seqdrop run {RUN}: done"
    assert lines == [
        "Sample NA12878 is done.",
        "reads: 400",
        "reads mapped: 398",
        "variants: 12",
        "estimated cost of the jobs: 0.09 USD",
        f"annotated vcf: {FOLDER}/NA12878.annotated.vcf.gz",
        f"bam: {FOLDER}/NA12878.bam",
        f"report: {FOLDER}/NA12878.report.html",
        f"manifest: {FOLDER}/manifest.json",
    ]


def test_the_message_of_an_incomplete_run_names_what_is_missing() -> None:
    ending = Ending("INCOMPLETE", "TOOL_FAILED", "samtools ended with exit code 1", "collect")
    subject, lines = record.message(succeeded(), ending, {}, COST)
    assert subject == f"seqdrop run {RUN}: done"
    assert lines[:2] == [
        "Sample NA12878 is done.",
        "One step is missing (collect): samtools ended with exit code 1",
    ]


def test_the_message_of_a_failed_run() -> None:
    ending = Ending("TIMED_OUT", "TIMEOUT", "The run took longer than the state machine allows.")
    assert record.message(succeeded(), ending, {}, COST) == (
        f"seqdrop run {RUN}: timed out",
        [
            "Sample NA12878 has no results: The run took longer than the state machine allows.",
            "Class: TIMEOUT",
            "The job ran longer than its limit: look at its log, and raise the limit if it was working.",
            f"More: seqdrop why {RUN}",
        ],
    )
