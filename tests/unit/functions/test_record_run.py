"""functions/record_run: the end of a run is recorded once."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from seqdrop.failure import advice
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import steps
from seqdrop.plan.names import canonical
from seqdrop.runs import price_list, queues, run_event, table
from seqdrop.storage.uri import S3Uri
from support.function_aws import (
    HIGH_PRIORITY,
    LAST_RESORT,
    MACHINE,
    NORMAL_PRIORITY,
    RESULTS,
    ROOT,
    Deployed,
    allowed_actions,
    event,
    fail_next_call,
)
from support.run_results import WARNING, write_receipts

PLAN = event("execution_input")
RUN = PLAN["run"]
SCHEDULE = event("schedule")
ROW = {
    "version": 1,
    "run": RUN,
    "sample": "NA12878",
    "reference": "demo",
    "started": "2026-03-02T09:30:03Z",
    "status": "RUNNING",
}
SMALL = 5 * (3 * price_list.USD_PER_TRANSITION + 20 * (price_list.USD_PER_PUT + price_list.USD_PER_GET))  # of five jobs
GAVE_UP = {
    "class": "NO_SPACE",
    "message": "The scratch disk is full.",
    "tool_lines": ["[E::sort] No space left on device"],
    "log": "group stream",
}


@pytest.fixture
def record_run(aws: Deployed) -> Any:
    """Load the function and start one run."""
    start(aws, RUN)
    return aws.load("record_run")


def start(aws: Deployed, run: str) -> None:
    """Start an execution and write its row as start_run does."""
    plan = json.loads(json.dumps(PLAN).replace(RUN, run))
    name = aws.states.start_execution(stateMachineArn=MACHINE, name=run, input=canonical(plan))["executionArn"]
    aws.table.put_item(Item={**ROW, "run": run, "execution": name, "results": plan["results"]})


def manifest(aws: Deployed) -> dict[str, Any] | None:
    text = aws.results().get(f"NA12878/{RUN}/manifest.json")
    return json.loads(text) if text else None


def row(aws: Deployed, run: str = RUN) -> dict[str, Any]:
    """Return the attributes that the end of a run adds to its row."""
    attributes = aws.row(run)
    assert attributes
    return {name: value for name, value in attributes.items() if name not in ROW or name == "status"}


def test_a_succeeded_run_gets_its_manifest_its_row_and_one_message(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, steps.names())
    request = event("record_run_succeeded")
    assert record_run.call(request) == {"status": "SUCCEEDED", "class": "", "cause": ""}
    written = manifest(aws)
    assert written
    assert (written["complete"], written["missing"], written["execution"]) == (True, [], request["execution"])
    assert [output["uri"] for output in written["outputs"]] == [
        PLAN[word] for word in ("bam", "vcf", "gvcf", "annotated_vcf", "stats", "report")
    ]
    assert written["warnings"] == [{"step": "align", **WARNING}]
    recorded = row(aws)
    assert recorded == {
        "status": "SUCCEEDED",
        "execution": request["execution"],
        "results": PLAN["results"],
        "finished": recorded["finished"],
        "reads": 400,
        "reads_mapped": 398,
        "variants": 12,
        "warnings": ["align: 12 names come twice."],
        "cost": recorded["cost"],
    }
    ((subject, text),) = aws.messages()
    assert subject == f"seqdrop run {RUN}: done, 1 warning"
    warning, figures = (
        "Warning (align): 12 names come twice.",
        ["reads: 400", "reads mapped: 398 (99.5%)", "variants (PASS): 12"],
    )
    assert text.splitlines()[:5] == ["Sample NA12878 is done.", warning, *figures]


def test_other_systems_get_one_event_and_the_subject_may_name_the_sample(
    aws: Deployed, record_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMPLE_IN_SUBJECT", "yes")
    aws.watch_events()
    write_receipts(aws, PLAN, steps.names())
    record_run.call(event("record_run_succeeded"))
    record_run.call(event("record_run_succeeded"))
    [published] = aws.events()
    assert (published["source"], published["detail-type"]) == ("seqdrop", "Run finished")
    assert published["resources"] == [event("record_run_succeeded")["execution"]]
    assert published["detail"] == run_event.detail(aws.row(RUN) or {}, "seqdrop")
    assert published["detail"]["status"] == "SUCCEEDED"
    [(subject, text)] = aws.messages()
    assert subject == f"NA12878: seqdrop run {RUN}: done, 1 warning"
    links = text.splitlines()[-1:]
    assert links[0].startswith("Execution: https://us-east-1.console.aws.amazon.com/states/")


def test_an_event_that_fails_is_sent_by_the_next_call_with_the_message(aws: Deployed, record_run: Any) -> None:
    aws.watch_events()
    write_receipts(aws, PLAN, steps.names())
    with fail_next_call("events.PutEvents", "no"), pytest.raises(ClientError):
        record_run.call(event("record_run_succeeded"))
    assert (aws.events(), aws.messages(), row(aws)["notify_pending"]) == ([], [], "yes")
    record_run.call(SCHEDULE)
    assert (len(aws.events()), len(aws.messages()), "notify_pending" in row(aws)) == (1, 1, False)


@pytest.mark.parametrize(("share", "usd"), [("first", 0.0935), ("never", 0.2310)])
def test_a_stack_without_spot_instances_estimates_on_demand_prices(
    aws: Deployed, record_run: Any, monkeypatch: pytest.MonkeyPatch, share: str, usd: float
) -> None:
    set_price(monkeypatch, spot_share=share)
    write_receipts(aws, PLAN, steps.names())
    record_run.call(event("record_run_succeeded"))
    assert float(row(aws)["cost"]) == pytest.approx(usd + SMALL, abs=1e-5)


def test_the_scratch_volume_is_in_the_estimate(aws: Deployed, record_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    set_price(monkeypatch, scratch_size=7300)
    write_receipts(aws, PLAN, steps.names())  # five hours
    record_run.call(event("record_run_succeeded"))
    assert float(row(aws)["cost"]) == pytest.approx(0.0935 + 5 * 0.95 + SMALL, abs=1e-5)


def set_price(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Deploy the function with other prices."""
    monkeypatch.setenv("PRICES", json.dumps({**json.loads(os.environ["PRICES"]), **settings}))


def test_a_second_call_changes_nothing(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, steps.names())
    first = record_run.call(event("record_run_succeeded"))
    before = aws.row(RUN), aws.results()
    aws.messages()
    aws.table.update_item(Key={"run": RUN}, UpdateExpression="SET note = :n", ExpressionAttributeValues={":n": "kept"})
    assert record_run.call(event("record_run_succeeded")) == first
    assert (aws.row(RUN), aws.results()) == ({**(before[0] or {}), "note": "kept"}, before[1])
    assert aws.messages() == []


def test_the_next_call_sends_a_message_that_could_not_be_sent(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, steps.names())
    with fail_next_call("sns.Publish", "no"), pytest.raises(ClientError):
        record_run.call(event("record_run_succeeded"))
    assert (row(aws)["status"], row(aws)["notify_pending"], aws.messages()) == ("SUCCEEDED", "yes", [])
    record_run.call(event("record_run_succeeded"))
    assert (len(aws.messages()), "notify_pending" in row(aws)) == (1, False)
    record_run.call(event("record_run_succeeded"))
    assert aws.messages() == []


def test_the_next_call_writes_a_manifest_that_could_not_be_written(aws: Deployed, record_run: Any) -> None:
    """The message is sent last: it says that the results can be read."""
    write_receipts(aws, PLAN, steps.names())
    with fail_next_call("s3.PutObject", "no"), pytest.raises(ClientError):
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


def test_an_earlier_execution_does_not_send_the_pending_message_of_a_later_one(aws: Deployed, record_run: Any) -> None:
    earlier = event("record_run_succeeded")
    execution = resume(aws)
    write_receipts(aws, PLAN, steps.names())
    with fail_next_call("s3.PutObject", "no"), pytest.raises(ClientError):
        record_run.call({**earlier, "execution": execution})
    record_run.call(earlier)
    assert (manifest(aws), aws.messages()) == (None, [])
    record_run.call({**earlier, "execution": execution})
    written = manifest(aws)
    assert written
    assert written["execution"] == execution


def test_the_schedule_sends_the_message_of_the_recorded_end(aws: Deployed, record_run: Any) -> None:
    aws.states.stop_execution(executionArn=aws.row(RUN)["execution"], cause="enough")  # type: ignore[index]
    with fail_next_call("sns.Publish", "no"), pytest.raises(ClientError):
        record_run.call(event("record_run_failed"))
    recorded = aws.row(RUN)
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    ((_, text),) = aws.messages()
    assert text.splitlines()[0].endswith(recorded["message"])  # type: ignore[index]
    assert aws.row(RUN) == {name: value for name, value in recorded.items() if name != "notify_pending"}  # type: ignore[union-attr]
    assert record_run.call(SCHEDULE) == {"repaired": 0}
    assert aws.messages() == []


def test_the_last_state_writes_no_manifest_for_a_run_that_was_recorded_as_stopped(
    aws: Deployed, record_run: Any
) -> None:
    write_receipts(aws, PLAN, steps.names())
    request = event("record_run_succeeded")
    assert table.close(RUN, request["execution"], {"status": "ABORTED", "finished": "2026-03-02T09:40:00Z"})
    record_run.call(request)
    assert (manifest(aws), row(aws)["status"], aws.messages()) == (None, "ABORTED", [])


def test_an_unreadable_receipt_is_ignored_and_a_failed_repair_stops_no_other(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, steps.names())
    aws.s3.put_object(Bucket=RESULTS, Key=f"NA12878/{RUN}/jobs/align.json", Body=b"\x89not json")
    start(aws, "a" * 20)
    for run in (RUN, "a" * 20):
        aws.states.stop_execution(executionArn=(aws.row(run) or {})["execution"])
    with (
        fail_next_call("states.DescribeExecution", "no"),
        pytest.raises(record_run.NotRepairedError, match="1 of 2 runs"),
    ):
        record_run.call(SCHEDULE)
    assert {(aws.row(run) or {})["status"] for run in (RUN, "a" * 20)} == {"RUNNING", "ABORTED"}
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    assert {(aws.row(run) or {})["status"] for run in (RUN, "a" * 20)} == {"ABORTED"}


def test_the_commands_in_row_message_and_answer_of_a_failed_run_can_be_copied(aws: Deployed, record_run: Any) -> None:
    request = event("record_run_failed")
    gave_up = request["plan"]["align"]["gave_up"]
    gave_up |= {"class": "TOOL_FAILED", "advice": advice.get("TOOL_FAILED")}
    answer = record_run.call(request)
    command = f"`seqdrop resume {RUN} --stack seqdrop`"
    [(_, message)] = aws.messages()
    assert all(command in text for text in (answer["cause"], row(aws)["advice"], message))
    assert "RUN`" not in answer["cause"] + message


def test_a_failed_alignment_is_recorded_without_a_manifest(aws: Deployed, record_run: Any) -> None:
    request = event("record_run_failed")
    gave_up = request["plan"]["align"]["gave_up"]
    answer = record_run.call(request)
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
        "execution": request["execution"],
        "results": PLAN["results"],
        "finished": recorded["finished"],
        "cost": "0.0",
    }
    assert aws.messages() == [
        (
            f"seqdrop run {RUN}: failed",
            f"Sample NA12878 has no results: {gave_up['cause']}\nMore: `seqdrop why {RUN} --stack seqdrop`\n"
            "Execution: https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/executions/details/"
            + request["execution"],
        )
    ]


def test_a_run_without_statistics_is_incomplete_and_names_them(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, ("align", "call", "annotate", "compose"))
    request = event("record_run_succeeded")
    request["plan"]["analysis"]["collect"]["gave_up"] = GAVE_UP
    answer = record_run.call(request)
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


def test_a_run_without_variants_failed_and_has_no_manifest(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, ("align", "collect", "compose"))
    request = event("record_run_succeeded")
    request["plan"]["analysis"]["call"]["gave_up"] = GAVE_UP
    assert record_run.call(request)["status"] == "FAILED"
    assert manifest(aws) is None
    assert row(aws)["reads"] == 400


def test_an_error_without_a_diagnosis_is_internal(aws: Deployed, record_run: Any) -> None:
    request = event("record_run_succeeded")
    request["plan"]["align"]["error"] = {"Error": "States.TaskFailed", "Cause": "{}"}
    request["plan"]["undiagnosed"] = {"Error": "Lambda.Unknown", "Cause": "{}"}
    assert (record_run.call(request)["class"], row(aws)["class"], row(aws)["step"]) == ("INTERNAL", "INTERNAL", "align")


@pytest.mark.parametrize(
    ("status", "failure_class", "subject"),
    [("ABORTED", "STOPPED", "aborted"), ("TIMED_OUT", "TIMEOUT", "timed out")],
)
def test_a_status_event_records_an_end_that_no_state_can_catch(
    aws: Deployed, record_run: Any, status: str, failure_class: str, subject: str
) -> None:
    request = event("execution_aborted")
    request["detail"]["status"] = status
    aws.end(RUN, status)
    write_receipts(aws, PLAN, ["align"])
    assert record_run.call(request)["class"] == failure_class
    assert (row(aws)["status"], row(aws)["class"]) == (status, failure_class)
    assert manifest(aws) is None
    assert [subject for subject, _ in aws.messages()] == [f"seqdrop run {RUN}: {subject}"]
    record_run.call(request)
    assert aws.messages() == []


def test_an_input_that_is_too_large_for_an_event_is_read_from_the_execution(aws: Deployed, record_run: Any) -> None:
    request = event("execution_aborted")
    request["detail"] |= {"input": None, "inputDetails": {"included": False}}
    aws.end(RUN, "ABORTED")
    assert record_run.call(request)["status"] == "ABORTED"
    assert row(aws)["class"] == "STOPPED"


def test_the_schedule_measures_how_long_the_oldest_mate_has_waited(
    aws: Deployed, record_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for hours in (1, 5, 3):
        started = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        aws.table.put_item(Item={"run": f"waiting-{hours}", "status": "WAITING", "started": started})
    record_run.call(SCHEDULE)
    (metrics,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "MateWaitingHours" in line]
    assert metrics["MateWaitingHours"] == [pytest.approx(5, abs=0.01)]


@pytest.mark.parametrize(("ended", "hours"), [(-4, 0), (2, 2)])
def test_the_quiet_time_of_lanes_does_not_count(
    aws: Deployed, record_run: Any, capsys: pytest.CaptureFixture[str], ended: int, hours: int
) -> None:
    started, end = (
        (datetime.now(UTC) - timedelta(hours=since)).strftime("%Y-%m-%dT%H:%M:%SZ") for since in (30, ended)
    )
    row = {"run": "waiting-1", "status": "WAITING", "started": started, "quiet_until": end}
    aws.table.put_item(Item=row)
    record_run.call(SCHEDULE)
    (metrics,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "MateWaitingHours" in line]
    assert metrics["MateWaitingHours"] == [pytest.approx(hours, abs=0.01)]


def test_the_schedule_measures_how_long_jobs_wait_while_none_runs(
    record_run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(queues, "longest_wait", lambda names: asked.append(names) or 2.5)
    record_run.call(SCHEDULE)
    (metrics,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "JobsBlockedHours" in line]
    assert metrics["JobsBlockedHours"] == [2.5]
    assert asked == [[NORMAL_PRIORITY, HIGH_PRIORITY, LAST_RESORT]]


def test_an_error_of_batch_fails_the_schedule_after_the_repair(aws: Deployed, record_run: Any) -> None:
    aws.end(RUN, "SUCCEEDED", output=json.dumps(PLAN))
    with fail_next_call("batch.ListJobs", "no"), pytest.raises(ClientError):
        record_run.call(SCHEDULE)
    assert row(aws)["status"] != "RUNNING"


def test_a_status_event_before_the_row_creates_it(aws: Deployed, record_run: Any) -> None:
    aws.table.delete_item(Key={"run": RUN})
    aws.end(RUN, "ABORTED")
    record_run.call(event("execution_aborted"))
    recorded = aws.row(RUN)
    assert recorded
    assert (recorded["status"], recorded["sample"], recorded["class"]) == ("ABORTED", "NA12878", "STOPPED")


def test_a_run_that_ends_before_its_row_begins_with_its_first_job(aws: Deployed, record_run: Any) -> None:
    aws.table.delete_item(Key={"run": RUN})
    write_receipts(aws, PLAN, steps.names())
    receipt = json.loads(aws.results()[f"NA12878/{RUN}/jobs/align.json"])
    record_run.call(event("record_run_succeeded"))
    recorded = aws.row(RUN) or {}
    assert recorded["started"] == receipt["started"]
    assert {name: recorded[name] for name in ("status", "form", "aligner", "caller", "alignment_format")} == {
        "status": "SUCCEEDED",
        "form": "split",
        "aligner": "bwa_mem3",
        "caller": "bcftools",
        "alignment_format": "bam",
    }


def test_the_schedule_repairs_only_rows_whose_execution_has_ended(aws: Deployed, record_run: Any) -> None:
    timed_out, failed, running = "0" * 20, "1" * 20, "2" * 20
    for run in (timed_out, failed, running):
        start(aws, run)
    aws.end(RUN, "ABORTED")
    aws.end(timed_out, "TIMED_OUT")
    aws.end(failed, "FAILED", error="OUT_OF_MEMORY", cause="The job was killed.")
    assert record_run.call(SCHEDULE) == {"repaired": 3}
    assert {entry["run"]: entry["status"] for entry in aws.rows()} == {
        RUN: "ABORTED",
        timed_out: "TIMED_OUT",
        failed: "FAILED",
        running: "RUNNING",
    }
    assert (row(aws, failed)["class"], row(aws, failed)["message"]) == ("OUT_OF_MEMORY", "The job was killed.")
    assert record_run.call(SCHEDULE) == {"repaired": 0}
    assert len(aws.messages()) == 3


def test_the_schedule_records_a_succeeded_run_with_its_manifest(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, steps.names())
    aws.end(RUN, "SUCCEEDED", output=json.dumps(event("record_run_succeeded")["plan"]))
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    assert row(aws)["status"] == "SUCCEEDED"
    assert manifest(aws)


def test_the_schedule_records_a_run_that_could_not_be_recorded_as_succeeded(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, steps.names())
    machine = json.loads((ROOT / "statemachine/pipeline.asl.json").read_text())
    state = machine["States"]["RunNotRecorded"]
    aws.end(RUN, "FAILED", error=state["Error"], cause=state["Cause"])
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    assert (row(aws)["status"], bool(manifest(aws))) == ("SUCCEEDED", True)


def test_the_schedule_records_a_failed_run_with_its_last_verdict(aws: Deployed, record_run: Any) -> None:
    for number, body in enumerate((Verdict("THROTTLED", "Busy."), Verdict("BAD_INPUT.TRUNCATED", "Cut off.")), start=1):
        aws.write(f"{PLAN['results']}/failures/align.1.{number}.json", body.to_json())
    aws.write(f"{PLAN['results']}/failures/align.1.3.json", ["not a verdict"])
    aws.end(RUN, "FAILED", error="NOT_RECORDED", cause="The run could not be recorded.")
    assert record_run.call(SCHEDULE) == {"repaired": 1}
    recorded = row(aws)
    assert (recorded["class"], recorded["message"], recorded["step"]) == ("BAD_INPUT.TRUNCATED", "Cut off.", "align")
    assert manifest(aws) is None


def test_a_row_whose_execution_was_deleted_does_not_stop_the_repair(aws: Deployed, record_run: Any) -> None:
    for number in range(4):
        run = f"deleted{number}"
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{run}"
        row_values = {"run": run, "execution": arn, "results": f"s3://{RESULTS}/S/{run}"}
        aws.table.put_item(Item={**ROW, **row_values, "started": f"202{number * 2}-01-01T00:00:00Z"})
    aws.end(RUN, "ABORTED")
    record_run.call(SCHEDULE)
    assert row(aws)["status"] == "ABORTED"


def resume(aws: Deployed) -> str:
    """Reopen the row for a second execution; return its ARN."""
    execution = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{RUN}-2"
    change = {":e": execution, ":s": "RUNNING", ":n": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    aws.table.update_item(
        Key={"run": RUN},
        UpdateExpression="SET execution = :e, #s = :s, resumed = :n",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues=change,
    )
    return execution


def test_an_earlier_execution_of_a_resumed_run_changes_nothing(aws: Deployed, record_run: Any) -> None:
    aws.end(RUN, "ABORTED")
    resume(aws)
    write_receipts(aws, PLAN, steps.names())
    before = aws.rows(), aws.results()
    record_run.call(event("execution_aborted"))
    record_run.call(event("record_run_succeeded"))
    assert (aws.rows(), aws.results(), aws.messages()) == (*before, [])


def test_the_last_execution_of_a_resumed_run_closes_it(aws: Deployed, record_run: Any) -> None:
    request = {**event("record_run_succeeded"), "execution": resume(aws)}
    write_receipts(aws, PLAN, steps.names())
    assert record_run.call(request)["status"] == "SUCCEEDED"
    written = manifest(aws)
    assert written
    assert (row(aws)["status"], written["execution"]) == ("SUCCEEDED", request["execution"])


def test_the_schedule_closes_a_resumed_run_whose_execution_never_began(aws: Deployed, record_run: Any) -> None:
    resume(aws)
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
def test_a_plan_with_addresses_of_another_run_is_refused(
    aws: Deployed, record_run: Any, change: dict[str, Any]
) -> None:
    write_receipts(aws, PLAN, steps.names())
    before = aws.rows(), aws.results()
    request = event("record_run_succeeded")
    request["plan"] |= change
    answer = record_run.call(request)
    assert (answer["status"], answer["class"]) == ("FAILED", "BAD_INPUT.PLAN")
    assert (aws.rows(), aws.results(), aws.messages()) == (*before, [])


def test_an_execution_without_a_plan_is_not_recorded(aws: Deployed, record_run: Any) -> None:
    request = event("execution_aborted")
    request["detail"]["input"] = "[]"
    before = aws.rows()
    assert record_run.call(request)["class"] == "BAD_INPUT.PLAN"
    assert aws.rows() == before


@pytest.mark.parametrize(("step", "status"), [("call", "FAILED"), ("collect", "INCOMPLETE")])
@pytest.mark.parametrize("fault", ["deleted", "overwritten", "without receipt"])
def test_missing_or_changed_outputs_are_not_published(
    aws: Deployed, record_run: Any, step: str, status: str, fault: str
) -> None:
    write_receipts(aws, PLAN, steps.names())
    uri = S3Uri.parse(PLAN["vcf" if step == "call" else "stats"])
    if fault == "overwritten":
        aws.s3.put_object(Bucket=RESULTS, Key=uri.key, Body=b"other")
    else:
        aws.s3.delete_object(Bucket=RESULTS, Key=uri.key if fault == "deleted" else f"NA12878/{RUN}/jobs/{step}.json")
    answer = record_run.call(event("record_run_succeeded"))
    failure_class = "INTERNAL" if fault == "without receipt" else "RESULTS_CHANGED"
    assert (answer["status"], answer["class"]) == (status, failure_class)
    written = manifest(aws)
    assert bool(written) == (status == "INCOMPLETE")
    if written:
        assert (written["complete"], written["missing"]) == (False, [step])
        assert str(uri) not in [output["uri"] for output in written["outputs"]]


def test_the_log_has_the_failure_class_without_the_message(
    aws: Deployed, record_run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    record_run.call(event("record_run_failed"))
    log = str([vars(line) for line in caplog.records])
    assert "BAD_INPUT.TRUNCATED" in log
    assert "truncated" not in log
    assert "NA12878" not in log


def test_the_role_of_record_run_allows_all_its_calls(aws: Deployed, record_run: Any) -> None:
    start(aws, "0" * 20)
    aws.end("0" * 20, "ABORTED")
    aws.calls.clear()
    record_run.call(event("record_run_succeeded"))
    record_run.call(SCHEDULE)
    assert aws.calls
    assert aws.calls - allowed_actions("record_run") == set()
