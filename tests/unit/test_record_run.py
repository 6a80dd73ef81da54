"""functions/record_run: a run ended, and is recorded once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from function_aws import MACHINE, ROOT, Deployed, allowed, event
from seqdrop import layout

PLAN = event("execution_input")
RUN = PLAN["run"]
SCHEDULE = event("schedule")
BEGUN = {"run": RUN, "sample": "NA12878", "reference": "demo", "started": "2026-03-02T09:30:03Z", "status": "RUNNING"}
GAVE_UP = {"class": "NO_SPACE", "message": "The scratch disk is full.", "advice": "Give jobs a larger scratch disk."}


@pytest.fixture
def record_run(aws: Deployed) -> Any:
    """The function, and one run that start_run has begun."""
    begin(aws, RUN)
    return aws.load("record_run")


def begin(aws: Deployed, run: str) -> None:
    plan = json.loads(json.dumps(PLAN).replace(RUN, run))
    name = aws.states.start_execution(stateMachineArn=MACHINE, name=run, input=layout.canonical(plan))["executionArn"]
    aws.table.put_item(Item={**BEGUN, "run": run, "execution": name, "results": plan["results"]})


def leave_receipts(aws: Deployed, steps: Iterable[str] = layout.STEPS) -> None:
    counts = {"align": {"reads": 400}, "call": {"variants": 12}, "collect": {"reads": 400, "reads_mapped": 398}}
    for step in steps:
        output = {"name": step, "uri": f"{PLAN['results']}/{step}", "version_id": "v", "etag": "e", "size": 7}
        used = {"seconds": 3600.0, "vcpus": 1, "memory": 1024}
        receipt = {
            "run": RUN,
            "step": step,
            **used,
            "counts": counts.get(step, {}),
            "outputs": [{**output, "crc64nvme": "c"}],
        }
        aws.write(f"{PLAN['results']}/jobs/{step}.json", receipt)


def manifest(aws: Deployed) -> dict[str, Any] | None:
    text = aws.results().get(f"NA12878/{RUN}/manifest.json")
    return json.loads(text) if text else None


def row(aws: Deployed, run: str = RUN) -> dict[str, Any]:
    found = aws.row(run)
    assert found
    return {name: value for name, value in found.items() if name not in BEGUN or name == "status"}


def test_a_good_run_gets_its_manifest_its_row_and_one_message(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws)
    told = event("record_run_succeeded")
    assert record_run.call(told) == {"status": "SUCCEEDED", "class": "", "message": ""}
    written = manifest(aws)
    assert written
    assert (written["complete"], written["missing"], written["execution"]) == (True, [], told["execution"])
    assert [output["name"] for output in written["outputs"]] == list(layout.STEPS)
    recorded = row(aws)
    assert recorded == {
        "status": "SUCCEEDED",
        "execution": told["execution"],
        "results": PLAN["results"],
        "finished": recorded["finished"],
        "reads": 400,
        "reads_mapped": 398,
        "variants": 12,
        "cost": "0.0945",
    }
    ((subject, text),) = aws.messages()
    assert subject == f"seqdrop run {RUN}: done"
    assert text.splitlines()[:4] == ["Sample NA12878 is done.", "reads: 400", "reads mapped: 398", "variants: 12"]


def test_told_again_it_changes_nothing(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws)
    first = record_run.call(event("record_run_succeeded"))
    before = aws.row(RUN), aws.results()
    aws.messages()
    aws.table.update_item(Key={"run": RUN}, UpdateExpression="SET note = :n", ExpressionAttributeValues={":n": "kept"})
    assert record_run.call(event("record_run_succeeded")) == first
    assert (aws.row(RUN), aws.results()) == ({**(before[0] or {}), "note": "kept"}, before[1])
    assert aws.messages() == []


def test_a_failed_alignment_leaves_no_manifest_and_says_why(aws: Deployed, record_run: Any) -> None:
    told = event("record_run_failed")
    gave_up = told["plan"]["align"]["gave_up"]
    answer = record_run.call(told)
    assert answer == {"status": "FAILED", "class": "BAD_INPUT.TRUNCATED", "message": gave_up["message"]}
    assert aws.results() == {}
    recorded = row(aws)
    assert recorded == {
        "status": "FAILED",
        "step": "align",
        "class": "BAD_INPUT.TRUNCATED",
        "message": gave_up["message"],
        "advice": gave_up["advice"],
        "execution": told["execution"],
        "results": PLAN["results"],
        "finished": recorded["finished"],
        "cost": "0.0",
    }
    assert aws.messages() == [
        (
            f"seqdrop run {RUN}: failed",
            f"Sample NA12878 has no results: {gave_up['message']}\nClass: BAD_INPUT.TRUNCATED\nStep: align\n"
            f"{gave_up['advice']}\nMore: seqdrop why {RUN}",
        )
    ]


def test_without_the_quality_figures_a_run_is_incomplete_and_names_them(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws, ("align", "call", "annotate", "compose"))
    told = event("record_run_succeeded")
    told["plan"]["analysis"]["collect"]["gave_up"] = GAVE_UP
    answer = record_run.call(told)
    assert answer == {"status": "INCOMPLETE", "class": "NO_SPACE", "message": "The scratch disk is full."}
    written = manifest(aws)
    assert written
    assert (written["complete"], written["missing"]) == (False, ["collect"])
    assert (row(aws)["status"], row(aws)["step"]) == ("INCOMPLETE", "collect")
    assert "One step is missing (collect): The scratch disk is full." in aws.messages()[0][1]


def test_without_variants_a_run_has_failed_and_has_no_manifest(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws, ("align", "collect", "compose"))
    told = event("record_run_succeeded")
    told["plan"]["analysis"]["call"]["gave_up"] = GAVE_UP
    assert record_run.call(told)["status"] == "FAILED"
    assert manifest(aws) is None
    assert row(aws)["reads"] == 400


def test_an_error_that_the_doctor_left_is_a_fault_of_the_pipeline(aws: Deployed, record_run: Any) -> None:
    told = event("record_run_succeeded")
    told["plan"]["align"]["error"] = {"Error": "States.TaskFailed", "Cause": "{}"}
    told["plan"]["undiagnosed"] = {"Error": "Lambda.Unknown", "Cause": "{}"}
    assert (record_run.call(told)["class"], row(aws)["class"], row(aws)["step"]) == ("INTERNAL", "INTERNAL", "align")


@pytest.mark.parametrize(
    ("status", "failure_class", "subject"),
    [("ABORTED", "STOPPED", "aborted"), ("TIMED_OUT", "TIMEOUT", "timed out")],
)
def test_an_ending_that_no_state_can_catch_is_told_by_eventbridge(
    aws: Deployed, record_run: Any, status: str, failure_class: str, subject: str
) -> None:
    told = event("execution_aborted")
    told["detail"]["status"] = status
    aws.end(RUN, status)
    leave_receipts(aws, ["align"])
    assert record_run.call(told)["class"] == failure_class
    assert (row(aws)["status"], row(aws)["class"]) == (status, failure_class)
    assert manifest(aws) is None
    assert [subject for subject, _ in aws.messages()] == [f"seqdrop run {RUN}: {subject}"]
    record_run.call(told)
    assert aws.messages() == []


def test_an_input_too_large_for_an_event_is_asked_for(aws: Deployed, record_run: Any) -> None:
    told = event("execution_aborted")
    told["detail"] |= {"input": None, "inputDetails": {"included": False}}
    aws.end(RUN, "ABORTED")
    assert record_run.call(told)["status"] == "ABORTED"
    assert row(aws)["class"] == "STOPPED"


def test_the_schedule_measures_how_long_the_oldest_mate_waits(
    aws: Deployed, record_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for hours in (1, 5, 3):
        since = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        aws.table.put_item(Item={"run": f"waiting-{hours}", "status": "WAITING", "started": since})
    record_run.call(SCHEDULE)
    (measured,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "MateWaitingHours" in line]
    assert measured["MateWaitingHours"] == [pytest.approx(5, abs=0.01)]


def test_an_event_that_comes_before_the_row_makes_it(aws: Deployed, record_run: Any) -> None:
    aws.table.delete_item(Key={"run": RUN})
    aws.end(RUN, "ABORTED")
    record_run.call(event("execution_aborted"))
    recorded = aws.row(RUN)
    assert recorded
    assert (recorded["status"], recorded["sample"], recorded["class"]) == ("ABORTED", "NA12878", "STOPPED")


def test_the_schedule_repairs_rows_whose_execution_is_over_and_leaves_the_others(
    aws: Deployed, record_run: Any
) -> None:
    over, failed, running = "0" * 20, "1" * 20, "2" * 20
    for run in (over, failed, running):
        begin(aws, run)
    aws.end(RUN, "ABORTED")
    aws.end(over, "TIMED_OUT")
    aws.end(failed, "FAILED", error="OUT_OF_MEMORY", cause="The job was killed.")
    assert record_run.call(SCHEDULE) == {"repaired": 3}
    assert {entry["run"]: entry["status"] for entry in aws.rows()} == {
        RUN: "ABORTED",
        over: "TIMED_OUT",
        failed: "FAILED",
        running: "RUNNING",
    }
    assert (row(aws, failed)["class"], row(aws, failed)["message"]) == ("OUT_OF_MEMORY", "The job was killed.")
    assert record_run.call(SCHEDULE) == {"repaired": 0}
    assert len(aws.messages()) == 3


def test_a_good_run_whose_record_was_lost_is_repaired_with_its_manifest(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws)
    aws.end(RUN, "SUCCEEDED", output=json.dumps(event("record_run_succeeded")["plan"]))
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    assert row(aws)["status"] == "SUCCEEDED"
    assert manifest(aws)


def test_a_good_run_that_could_not_be_recorded_is_repaired_as_what_it_is(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws)
    machine = json.loads((ROOT / "statemachine/pipeline.asl.json").read_text())
    said = machine["States"]["RunNotRecorded"]
    aws.end(RUN, "FAILED", error=said["Error"], cause=said["Cause"])
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    assert (row(aws)["status"], bool(manifest(aws))) == ("SUCCEEDED", True)


def test_a_row_whose_execution_is_forgotten_does_not_stop_the_repair(aws: Deployed, record_run: Any) -> None:
    for number in range(4):
        gone = f"gone{number}"
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{gone}"
        aws.table.put_item(Item={**BEGUN, "run": gone, "execution": arn, "started": f"202{number * 2}-01-01T00:00:00Z"})
    aws.end(RUN, "ABORTED")
    record_run.call(SCHEDULE)
    assert row(aws)["status"] == "ABORTED"


def test_its_role_allows_every_call_it_makes(aws: Deployed, record_run: Any) -> None:
    begin(aws, "0" * 20)
    aws.end("0" * 20, "ABORTED")
    aws.calls.clear()
    record_run.call(event("record_run_succeeded"))
    record_run.call(SCHEDULE)
    assert aws.calls
    assert aws.calls - allowed("record_run") == set()
