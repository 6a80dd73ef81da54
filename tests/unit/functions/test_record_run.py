"""functions/record_run: a run ended, and is recorded once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import steps
from seqdrop.plan.names import canonical
from seqdrop.runs import table
from seqdrop.storage.uri import S3Uri
from support.function_aws import MACHINE, RESULTS, ROOT, Deployed, allowed, event, failing

PLAN = event("execution_input")
RUN = PLAN["run"]
SCHEDULE = event("schedule")
BEGUN = {
    "version": 1,
    "run": RUN,
    "sample": "NA12878",
    "reference": "demo",
    "started": "2026-03-02T09:30:03Z",
    "status": "RUNNING",
}
GAVE_UP = {
    "class": "NO_SPACE",
    "message": "The scratch disk is full.",
    "tool_lines": ["[E::sort] No space left on device"],
    "log": "group stream",
}

WARNED = {"warning": "DUPLICATE_NAMES", "message": "12 names come twice."}


@pytest.fixture
def record_run(aws: Deployed) -> Any:
    """The function, and one run that start_run has begun."""
    begin(aws, RUN)
    return aws.load("record_run")


def begin(aws: Deployed, run: str) -> None:
    plan = json.loads(json.dumps(PLAN).replace(RUN, run))
    name = aws.states.start_execution(stateMachineArn=MACHINE, name=run, input=canonical(plan))["executionArn"]
    aws.table.put_item(Item={**BEGUN, "run": run, "execution": name, "results": plan["results"]})


def leave_receipts(aws: Deployed, steps: Iterable[str] = steps.names()) -> None:
    counts = {"align": {"reads": 400}, "call": {"variants": 12}, "collect": {"reads": 400, "reads_mapped": 398}}
    for step in steps:
        uri = S3Uri.parse(f"{PLAN['results']}/{step}")
        stored = aws.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=step.encode())
        pinned = {"uri": str(uri), "version_id": stored["VersionId"], "etag": stored["ETag"].strip('"')}
        receipt = {
            "version": 1,
            "run": RUN,
            "step": step,
            "seconds": 3600.0,
            "vcpus": 1,
            "memory": 1024,
            "counts": counts.get(step, {}),
            "warnings": [WARNED] if step == "align" else [],
            "outputs": [{"name": step, **pinned, "size": len(step), "crc64nvme": "c"}],
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
    assert record_run.call(told) == {"status": "SUCCEEDED", "class": "", "cause": ""}
    written = manifest(aws)
    assert written
    assert (written["complete"], written["missing"], written["execution"]) == (True, [], told["execution"])
    assert [output["name"] for output in written["outputs"]] == list(steps.names())
    assert written["warnings"] == [{"step": "align", **WARNED}]
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
    warning, figures = "Warning (align): 12 names come twice.", ["reads: 400", "reads mapped: 398", "variants: 12"]
    assert text.splitlines()[:5] == ["Sample NA12878 is done.", warning, *figures]


def test_told_again_it_changes_nothing(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws)
    first = record_run.call(event("record_run_succeeded"))
    before = aws.row(RUN), aws.results()
    aws.messages()
    aws.table.update_item(Key={"run": RUN}, UpdateExpression="SET note = :n", ExpressionAttributeValues={":n": "kept"})
    assert record_run.call(event("record_run_succeeded")) == first
    assert (aws.row(RUN), aws.results()) == ({**(before[0] or {}), "note": "kept"}, before[1])
    assert aws.messages() == []


def test_a_message_that_could_not_be_sent_is_sent_when_it_is_told_again(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws)
    with failing("sns.Publish", "no"), pytest.raises(ClientError):
        record_run.call(event("record_run_succeeded"))
    assert (row(aws)["status"], row(aws)["notify_pending"], aws.messages()) == ("SUCCEEDED", "yes", [])
    record_run.call(event("record_run_succeeded"))
    assert (len(aws.messages()), "notify_pending" in row(aws)) == (1, False)
    record_run.call(event("record_run_succeeded"))
    assert aws.messages() == []


def test_a_manifest_that_could_not_be_written_is_written_when_it_is_told_again(aws: Deployed, record_run: Any) -> None:
    """Nobody is told of results that are not there: the message is what says that all is written."""
    leave_receipts(aws)
    with failing("s3.PutObject", "no"), pytest.raises(ClientError):
        record_run.call(event("record_run_succeeded"))
    assert (row(aws)["status"], row(aws)["notify_pending"], manifest(aws), aws.messages()) == (
        "SUCCEEDED",
        "yes",
        None,
        [],
    )
    record_run.call(event("record_run_succeeded"))
    assert manifest(aws)
    assert (len(aws.messages()), "notify_pending" in row(aws)) == (1, False)


def test_what_an_earlier_execution_tells_is_not_the_message_of_a_later_one(aws: Deployed, record_run: Any) -> None:
    earlier = event("record_run_succeeded")
    execution = second(aws)
    leave_receipts(aws)
    with failing("s3.PutObject", "no"), pytest.raises(ClientError):
        record_run.call({**earlier, "execution": execution})
    record_run.call(earlier)
    assert (manifest(aws), aws.messages()) == (None, [])
    record_run.call({**earlier, "execution": execution})
    written = manifest(aws)
    assert written
    assert written["execution"] == execution


def test_the_schedule_sends_what_could_not_be_sent_as_it_was_recorded(aws: Deployed, record_run: Any) -> None:
    aws.states.stop_execution(executionArn=aws.row(RUN)["execution"], cause="enough")  # type: ignore[index]
    with failing("sns.Publish", "no"), pytest.raises(ClientError):
        record_run.call(event("record_run_failed"))
    recorded = aws.row(RUN)
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    ((_, text),) = aws.messages()
    assert text.splitlines()[0].endswith(recorded["message"])  # type: ignore[index]
    assert aws.row(RUN) == {name: value for name, value in recorded.items() if name != "notify_pending"}  # type: ignore[union-attr]
    assert record_run.call(SCHEDULE) == {"repaired": 0}
    assert aws.messages() == []


def test_a_run_that_was_recorded_as_stopped_gets_no_manifest_from_its_last_state(
    aws: Deployed, record_run: Any
) -> None:
    leave_receipts(aws)
    told = event("record_run_succeeded")
    assert table.close(RUN, told["execution"], {"status": "ABORTED", "finished": "2026-03-02T09:40:00Z"})
    record_run.call(told)
    assert (manifest(aws), row(aws)["status"], aws.messages()) == (None, "ABORTED", [])


def test_a_receipt_that_cannot_be_read_is_none_and_a_bad_run_stops_no_other(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws)
    aws.s3.put_object(Bucket=RESULTS, Key=f"NA12878/{RUN}/jobs/align.json", Body=b"\x89not json")
    begin(aws, "a" * 20)
    for run in (RUN, "a" * 20):
        aws.states.stop_execution(executionArn=(aws.row(run) or {})["execution"])
    with failing("states.DescribeExecution", "no"), pytest.raises(record_run.NotRepairedError, match="1 of 2 runs"):
        record_run.call(SCHEDULE)
    assert {(aws.row(run) or {})["status"] for run in (RUN, "a" * 20)} == {"RUNNING", "ABORTED"}
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    assert {(aws.row(run) or {})["status"] for run in (RUN, "a" * 20)} == {"ABORTED"}


def test_a_failed_alignment_leaves_no_manifest_and_says_why(aws: Deployed, record_run: Any) -> None:
    told = event("record_run_failed")
    gave_up = told["plan"]["align"]["gave_up"]
    answer = record_run.call(told)
    assert answer == {"status": "FAILED", "class": "BAD_INPUT.TRUNCATED", "cause": gave_up["cause"]}
    assert aws.results() == {}
    recorded = row(aws)
    assert recorded == {
        "status": "FAILED",
        "step": "align",
        "class": "BAD_INPUT.TRUNCATED",
        "message": gave_up["message"],
        "advice": gave_up["advice"],
        "log": gave_up["log"],
        "execution": told["execution"],
        "results": PLAN["results"],
        "finished": recorded["finished"],
        "cost": "0.0",
    }
    assert aws.messages() == [
        (
            f"seqdrop run {RUN}: failed",
            f"Sample NA12878 has no results: {gave_up['cause']}\nMore: seqdrop why {RUN}",
        )
    ]


def test_without_the_quality_figures_a_run_is_incomplete_and_names_them(aws: Deployed, record_run: Any) -> None:
    leave_receipts(aws, ("align", "call", "annotate", "compose"))
    told = event("record_run_succeeded")
    told["plan"]["analysis"]["collect"]["gave_up"] = GAVE_UP
    answer = record_run.call(told)
    assert (answer["status"], answer["class"]) == ("INCOMPLETE", "NO_SPACE")
    assert answer["cause"].splitlines()[0] == "The scratch disk is full."
    written = manifest(aws)
    assert written
    assert (written["complete"], written["missing"]) == (False, ["collect"])
    recorded, (_, text) = row(aws), aws.messages()[0]
    assert (recorded["status"], recorded["step"]) == ("INCOMPLETE", "collect")
    assert (recorded["tool_lines"], recorded["log"]) == (GAVE_UP["tool_lines"], GAVE_UP["log"])
    for line in ("One step is missing (collect): The scratch disk is full.", *GAVE_UP["tool_lines"], "group stream"):
        assert line in text


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


def test_a_failed_run_that_could_not_be_recorded_is_repaired_with_its_last_verdict(
    aws: Deployed, record_run: Any
) -> None:
    for number, body in enumerate((Verdict("THROTTLED", "Busy."), Verdict("BAD_INPUT.TRUNCATED", "Cut off.")), start=1):
        aws.write(f"{PLAN['results']}/failures/align.1.{number}.json", body.to_json())
    aws.write(f"{PLAN['results']}/failures/align.1.3.json", ["no verdict"])
    aws.end(RUN, "FAILED", error="NOT_RECORDED", cause="The run could not be recorded.")
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    recorded = row(aws)
    assert (recorded["class"], recorded["message"], recorded["step"]) == ("BAD_INPUT.TRUNCATED", "Cut off.", "align")
    assert manifest(aws) is None


def test_a_row_whose_execution_is_forgotten_does_not_stop_the_repair(aws: Deployed, record_run: Any) -> None:
    for number in range(4):
        gone = f"gone{number}"
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{gone}"
        known = {"run": gone, "execution": arn, "results": f"s3://{RESULTS}/S/{gone}"}
        aws.table.put_item(Item={**BEGUN, **known, "started": f"202{number * 2}-01-01T00:00:00Z"})
    aws.end(RUN, "ABORTED")
    record_run.call(SCHEDULE)
    assert row(aws)["status"] == "ABORTED"


def second(aws: Deployed) -> str:
    """The execution of the run after it was resumed; the row goes on under it."""
    execution = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{RUN}-2"
    change = {":e": execution, ":s": "RUNNING", ":n": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    aws.table.update_item(
        Key={"run": RUN},
        UpdateExpression="SET execution = :e, #s = :s, resumed = :n",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues=change,
    )
    return execution


def test_what_an_earlier_execution_of_a_resumed_run_tells_changes_nothing(aws: Deployed, record_run: Any) -> None:
    aws.end(RUN, "ABORTED")
    second(aws)
    leave_receipts(aws)
    before = aws.rows(), aws.results()
    record_run.call(event("execution_aborted"))
    record_run.call(event("record_run_succeeded"))
    assert (aws.rows(), aws.results(), aws.messages()) == (*before, [])


def test_a_resumed_run_is_closed_by_its_own_execution(aws: Deployed, record_run: Any) -> None:
    told = {**event("record_run_succeeded"), "execution": second(aws)}
    leave_receipts(aws)
    assert record_run.call(told)["status"] == "SUCCEEDED"
    written = manifest(aws)
    assert written
    assert (row(aws)["status"], written["execution"]) == ("SUCCEEDED", told["execution"])


def test_a_row_that_was_reopened_for_an_execution_that_never_began_is_closed(aws: Deployed, record_run: Any) -> None:
    second(aws)
    assert record_run.call(SCHEDULE) == {"repaired": 0}  # it may be about to begin
    aws.table.update_item(
        Key={"run": RUN}, UpdateExpression="SET resumed = :n", ExpressionAttributeValues={":n": "2026-01-01T00:00:00Z"}
    )
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    assert (row(aws)["status"], row(aws)["class"]) == ("FAILED", "NOT_STARTED")
    assert "seqdrop resume" in row(aws)["advice"]
    [(subject, text)] = aws.messages()
    assert (subject, text.splitlines()[1]) == (f"seqdrop run {RUN}: failed", "Class: NOT_STARTED")


@pytest.mark.parametrize(
    "change",
    [
        {"results": f"s3://{RESULTS}/NA12878/other"},
        {"manifest": f"s3://{RESULTS}/OTHER/run/manifest.json"},
        {"results": "s3://elsewhere/NA12878/" + RUN},
        {"sample": "../OTHER"},
        {"run": None},
    ],
)
def test_a_plan_with_addresses_that_are_not_its_own_is_refused(
    aws: Deployed, record_run: Any, change: dict[str, Any]
) -> None:
    leave_receipts(aws)
    before = aws.rows(), aws.results()
    told = event("record_run_succeeded")
    told["plan"] |= change
    answer = record_run.call(told)
    assert (answer["status"], answer["class"]) == ("FAILED", "BAD_INPUT.PLAN")
    assert (aws.rows(), aws.results(), aws.messages()) == (*before, [])


def test_an_execution_that_was_started_with_no_plan_at_all_is_left_alone(aws: Deployed, record_run: Any) -> None:
    told = event("execution_aborted")
    told["detail"]["input"] = "[]"
    before = aws.rows()
    assert record_run.call(told)["class"] == "BAD_INPUT.PLAN"
    assert aws.rows() == before


@pytest.mark.parametrize(("step", "status"), [("call", "FAILED"), ("collect", "INCOMPLETE")])
@pytest.mark.parametrize("how", ["deleted", "overwritten", "without receipt"])
def test_nothing_is_published_that_is_not_there(
    aws: Deployed, record_run: Any, step: str, status: str, how: str
) -> None:
    leave_receipts(aws)
    key = f"NA12878/{RUN}/{step}"
    if how == "overwritten":
        aws.s3.put_object(Bucket=RESULTS, Key=key, Body=b"other")
    else:
        aws.s3.delete_object(Bucket=RESULTS, Key=key if how == "deleted" else f"NA12878/{RUN}/jobs/{step}.json")
    answer = record_run.call(event("record_run_succeeded"))
    failure_class = "INTERNAL" if how == "without receipt" else "RESULTS_CHANGED"
    assert (answer["status"], answer["class"]) == (status, failure_class)
    written = manifest(aws)
    assert bool(written) == (status == "INCOMPLETE")
    if written:
        assert (written["complete"], written["missing"]) == (False, [step])
        assert step not in [output["name"] for output in written["outputs"]]


def test_the_log_of_the_record_names_the_class_and_no_sentence(
    aws: Deployed, record_run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    record_run.call(event("record_run_failed"))
    printed = str([vars(line) for line in caplog.records])
    assert "BAD_INPUT.TRUNCATED" in printed
    assert "truncated" not in printed
    assert "NA12878" not in printed


def test_its_role_allows_every_call_it_makes(aws: Deployed, record_run: Any) -> None:
    begin(aws, "0" * 20)
    aws.end("0" * 20, "ABORTED")
    aws.calls.clear()
    record_run.call(event("record_run_succeeded"))
    record_run.call(SCHEDULE)
    assert aws.calls
    assert aws.calls - allowed("record_run") == set()
