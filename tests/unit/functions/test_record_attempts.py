"""functions/record_run: one row for each attempt of a job, and the budget of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import steps
from seqdrop.plan.names import canonical
from seqdrop.runs import attempts, cost, prices, table
from seqdrop.runs.prices import AWS_SPOT
from support.function_aws import (
    LAST_RESORT,
    MACHINE,
    Deployed,
    allowed_actions,
    client,
    event,
    fail_next_call,
    handler_of,
)
from support.run_results import write_receipts

PLAN = event("execution_input")
RUN = PLAN["run"]
CHANGED = event("job_changed")
JOB = CHANGED["detail"]["jobId"]
HOST = {"type": "c6id.2xlarge", "life_cycle": "on-demand", "zone": "us-east-1a", "vcpus": 8, "memory": 15800}


@pytest.fixture
def record_run(aws: Deployed) -> Any:
    """Load the function and start one run."""
    name = aws.states.start_execution(stateMachineArn=MACHINE, name=RUN, input=canonical(PLAN))["executionArn"]
    row = {"run": RUN, "sample": "NA12878", "started": "2026-03-02T09:30:03Z", "status": "RUNNING"}
    aws.table.put_item(Item={**row, "version": 1, "execution": name, "results": PLAN["results"]})
    return aws.load("record_run")


def changed(**values: Any) -> dict[str, Any]:
    """Return the event of a job with other values."""
    message: dict[str, Any] = deepcopy(CHANGED)
    message["detail"] |= values
    return message


def running() -> dict[str, Any]:
    """Return the event at the start of the second attempt of the job."""
    message = changed(status="RUNNING", attempts=CHANGED["detail"]["attempts"][:1])
    del message["detail"]["stoppedAt"]
    return message


def write_receipt(aws: Deployed, **host: Any) -> None:
    usage = {"cpu_seconds": 1500.2, "scratch": 700, "shared": 30, "host": {**HOST, **host}}
    used = {"peak_memory": 1800, "bytes_in": 5_000, "bytes_cached": 900, "bytes_out": 3_000, "usage": usage}
    receipt = {"version": 1, "step": "align", "job_id": JOB, "seconds": 868.0, "vcpus": 2, "memory": 2048, **used}
    aws.write(f"{PLAN['results']}/jobs/align.json", {**receipt, "counts": {}, "outputs": []})


@pytest.fixture
def stops(aws: Deployed) -> Iterator[list[str]]:
    """Collect the errors that executions are stopped with, which moto forgets."""
    found: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        found.append(params["error"])

    with handler_of("before-parameter-build.sfn.StopExecution", note):
        yield found


def test_the_attempts_of_a_job_get_a_row_each(aws: Deployed, record_run: Any) -> None:
    write_receipt(aws)
    record_run.call(CHANGED)
    first, second = attempts.of_run(RUN)
    common = {"version": 1, "run": RUN, "job_id": JOB, "step": "align", "try": 1, "queue": "seqdrop-default"}
    common |= {"vcpus": 2, "memory": 2048}
    assert first == {
        **common,
        "attempt": f"{JOB}.1",
        "number": 1,
        "status": "FAILED",
        "class": "SPOT_RECLAIMED",
        "started": "2026-03-02T10:05:00Z",
        "stopped": "2026-03-02T10:25:00Z",
        "queued": 120,
        "seconds": 1200,
        "usd": first["usd"],
        "price": "assumed rates",
    }
    used = {
        "peak_memory": 1800,
        "bytes_in": 5_000,
        "bytes_cached": 900,
        "bytes_out": 3_000,
        "cpu_seconds": 1500,
        "scratch": 700,
        "shared": 30,
    }
    host = {"instance_type": "c6id.2xlarge", "life_cycle": "on-demand", "zone": "us-east-1a"}
    assert second == {
        **common,
        **used,
        **host,
        "host_vcpus": 8,
        "host_memory": 15800,
        "attempt": f"{JOB}.2",
        "number": 2,
        "status": "SUCCEEDED",
        "exit": 0,
        "started": "2026-03-02T10:25:30Z",
        "stopped": "2026-03-02T10:40:00Z",
        "queued": 30,
        "seconds": 870,
        "usd": second["usd"],
        "price": second["price"],
    }
    assert min(first["usd"], second["usd"]) > Decimal("0.01")
    assert aws.calls <= allowed_actions("record_run")


def test_late_and_repeated_events_change_no_finished_row(aws: Deployed, record_run: Any) -> None:
    write_receipt(aws)
    events = [running(), CHANGED, CHANGED]
    record_run.call(CHANGED)
    expected = attempts.of_run(RUN)
    for order in set(permutations(range(3))):
        aws.s3.delete_object(Bucket="seqdrop-resultsbucket", Key=f"NA12878/{RUN}/jobs/align.json")
        for number in order:
            record_run.call(events[number])
        assert attempts.of_run(RUN) == expected
        write_receipt(aws)


def test_an_attempt_that_runs_has_a_row_until_it_has_ended(aws: Deployed, record_run: Any) -> None:
    record_run.call(running())
    first, second = attempts.of_run(RUN)
    assert (first["status"], second["status"]) == ("FAILED", "RUNNING")
    assert (second["attempt"], second["queued"], "usd" in second) == (f"{JOB}.2", 30, False)
    record_run.call(CHANGED)
    assert [row["status"] for row in attempts.of_run(RUN)] == ["FAILED", "SUCCEEDED"]


def test_the_verdict_of_an_attempt_says_what_it_has_used(aws: Deployed, record_run: Any) -> None:
    usage = {"cpu_seconds": 9.0, "scratch": 5, "bytes_in": 77, "bytes_cached": 6}
    verdict = Verdict("BAD_INPUT.TRUNCATED", "R2 is truncated", exit_code=65, peak_memory=99, job_id=JOB, usage=usage)
    aws.write(f"{PLAN['results']}/failures/align.1.2.json", verdict.to_json())
    message = changed(status="FAILED")
    message["detail"]["attempts"][1]["container"]["exitCode"] = 65
    record_run.call(message)
    _, row = attempts.of_run(RUN)
    assert (row["class"], row["exit"], row["status"]) == ("BAD_INPUT.TRUNCATED", 65, "FAILED")
    assert (row["peak_memory"], row["cpu_seconds"], row["scratch"]) == (99, 9, 5)
    assert (row["bytes_in"], row["bytes_cached"]) == (77, 6)


@pytest.mark.parametrize("word", ["isTerminated", "isCancelled"])
def test_the_last_attempt_of_a_job_that_was_stopped_is_stopped(aws: Deployed, record_run: Any, word: str) -> None:
    record_run.call(changed(status="FAILED", **{word: True}))
    assert [row["class"] for row in attempts.of_run(RUN)] == ["SPOT_RECLAIMED", "STOPPED"]


def test_the_children_of_an_array_job_have_the_receipts_with_their_index(aws: Deployed, record_run: Any) -> None:
    parent = changed(jobName=f"merge-{RUN}", tags={"step": "merge"}, arrayProperties={"size": 2})
    record_run.call(parent)
    assert attempts.of_run(RUN) == []
    child = f"{JOB}:1"
    used = {"peak_memory": 70, "usage": {"cpu_seconds": 3.0, "host": HOST}}
    aws.write(f"{PLAN['results']}/jobs/merge.1.json", {"version": 1, "job_id": child, **used})
    verdict = Verdict("DOWNLOAD", "no", exit_code=75, job_id=child, usage={})
    aws.write(f"{PLAN['results']}/failures/merge.1.1.1.json", verdict.to_json())
    parent["detail"] |= {"jobId": child, "arrayProperties": {"index": 1, "statusSummary": {}}}
    parent["detail"]["attempts"][0] |= {"container": {"exitCode": 75}, "statusReason": ""}
    record_run.call(parent)
    first, second = attempts.of_run(RUN)
    assert (first["attempt"], first["step"], first["class"]) == (f"{child}.1", "merge", "DOWNLOAD")
    assert (second["peak_memory"], second["host_vcpus"]) == (70, 8)


def test_an_attempt_of_the_job_with_all_steps_has_the_use_of_each_of_them(aws: Deployed, record_run: Any) -> None:
    """The first attempt ended after align; the second one failed in call; annotate is of another job."""
    times = [attempt["startedAt"] for attempt in CHANGED["detail"]["attempts"]]
    first, second = (table.time_text(datetime.fromtimestamp(time / 1000 + 1, UTC)) for time in times)
    usage = {"cpu_seconds": 100.0, "scratch": 700, "bytes_cached": 4, "host": HOST}
    common = {"version": 1, "vcpus": 2, "memory": 2048, "usage": usage, "bytes_in": 10}
    left = (("align", first, 1800, JOB), ("collect", second, 900, JOB), ("annotate", second, 1, "another"))
    for step, started, peak, job in left:
        receipt = {**common, "step": step, "started": started, "peak_memory": peak, "job_id": job}
        aws.write(f"{PLAN['results']}/jobs/{step}.json", receipt)
    verdict = Verdict("TOOL_FAILED", "bcftools ended with exit code 1", job_id=JOB).to_json()
    aws.write(f"{PLAN['results']}/failures/call.1.2.json", {**verdict, "peak_memory": 1000, "usage": usage})
    record_run.call(changed(tags={"step": "fused"}, status="FAILED"))
    one, two = attempts.of_run(RUN)
    assert (one["step"], one["peak_memory"], one["cpu_seconds"], one["bytes_in"]) == ("fused", 1800, 100, 10)
    assert (two["peak_memory"], two["cpu_seconds"], two["class"]) == (1000, 200, "TOOL_FAILED")
    assert (one["bytes_cached"], two["bytes_cached"]) == (4, 8)
    assert {one["instance_type"], two["instance_type"]} == {HOST["type"]}


def test_jobs_that_are_of_no_run_are_not_recorded(aws: Deployed, record_run: Any) -> None:
    other = changed(parameters={"run": RUN, "results": f"s3://seqdrop-referencebucket/hg/preparation/{RUN}"})
    assert record_run.call(other) == {}
    foreign = changed(parameters={**CHANGED["detail"]["parameters"], "run": "other"})
    assert record_run.call(foreign) == {}
    assert record_run.call(changed(parameters={})) == {}
    assert attempts.of_run(RUN) == []


def test_an_attempt_on_a_spot_instance_has_the_price_that_aws_had_then(aws: Deployed, record_run: Any) -> None:
    write_receipt(aws, life_cycle="spot")
    record_run.call(CHANGED)
    _, second = attempts.of_run(RUN)
    assert second["price"] == AWS_SPOT
    assert 0 < float(second["usd"]) < 0.001  # moto's price of an hour is 0.00001 USD
    prices.ask_spot_price.cache_clear()
    with fail_next_call("ec2.DescribeSpotPriceHistory", "of AWS"):
        assert prices.ask_spot_price("c6id.2xlarge", "us-east-1a", "2026-03-02T10:00:00Z") is None
    assert aws.calls <= allowed_actions("record_run")


def test_the_cost_of_a_run_is_the_sum_of_its_attempts_and_is_in_row_manifest_and_message(
    aws: Deployed, record_run: Any
) -> None:
    record_run.call(CHANGED)
    write_receipts(aws, PLAN, steps.names())
    record_run.call(event("record_run_succeeded"))
    rows = attempts.of_run(RUN)
    assert Counter(row["step"] for row in rows) == {**dict.fromkeys(steps.names(), 1), "align": 3}
    recorded = aws.row(RUN)
    assert recorded
    manifest = json.loads(aws.results()[f"NA12878/{RUN}/manifest.json"])
    assert Decimal(recorded["cost"]) == cost.total(rows) == sum(Decimal(str(row["usd"])) for row in rows)
    assert manifest["cost"]["usd"] == float(recorded["cost"])
    assert (manifest["cost"]["attempts"], manifest["cost"]["failed_attempts"]) == (len(rows), 1)
    ((_, text),) = aws.messages()
    assert "estimated cost of the jobs: $" in text


def test_an_event_that_comes_after_the_end_of_a_run_corrects_its_cost_alone(aws: Deployed, record_run: Any) -> None:
    write_receipts(aws, PLAN, steps.names())
    record_run.call(event("record_run_succeeded"))
    before = aws.row(RUN)
    assert before
    assert record_run.call(CHANGED) == {"corrected": True}
    after = aws.row(RUN)
    assert after
    assert {**after, "cost": before["cost"]} == before
    assert float(after["cost"]) == float(cost.total(attempts.of_run(RUN))) > float(before["cost"])
    assert record_run.call(CHANGED) == {"corrected": False}
    assert aws.row(RUN) == after


def test_an_attempt_that_is_recorded_while_its_run_is_closed_is_in_the_cost(
    aws: Deployed, record_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_receipts(aws, PLAN, steps.names())
    close = table.close

    def record_meanwhile(*args: Any, **expected: str) -> bool:
        record_run.call(CHANGED)
        return close(*args, **expected)

    monkeypatch.setattr(table, "close", record_meanwhile)
    record_run.call(event("record_run_succeeded"))
    assert float((aws.row(RUN) or {})["cost"]) == float(cost.total(attempts.of_run(RUN)))


def set_budget(aws: Deployed, usd: str) -> None:
    values = {":usd": usd}
    aws.table.update_item(Key={"run": RUN}, UpdateExpression="SET max_cost = :usd", ExpressionAttributeValues=values)


def test_a_run_is_stopped_as_soon_as_its_attempts_have_cost_its_budget(
    aws: Deployed, record_run: Any, stops: list[str]
) -> None:
    set_budget(aws, "0.005")
    assert record_run.call(running()) == {"stopped": True}, "the second attempt has just begun"
    assert stops == ["BUDGET"]
    ended = event("execution_aborted")
    ended["detail"] |= {"error": "BUDGET", "cause": "its jobs have cost $0.05, and its budget is $0.01"}
    record_run.call(ended)
    row = aws.row(RUN)
    assert row
    assert (row["status"], row["class"]) == ("ABORTED", "BUDGET")
    assert row["message"] == "The run was stopped: its jobs have cost $0.05, and its budget is $0.01."
    assert f"`seqdrop resume {RUN} --max-cost USD --stack seqdrop`" in row["advice"]
    ((_, text),) = aws.messages()
    assert "Class: BUDGET" in text


def test_a_run_below_its_budget_goes_on(aws: Deployed, record_run: Any, stops: list[str]) -> None:
    set_budget(aws, "10")
    assert record_run.call(CHANGED) == {"stopped": False}
    assert stops == []


def test_the_budget_of_the_stack_holds_for_runs_without_one(
    aws: Deployed, record_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RUN_COST", "0.005")
    assert record_run.call(CHANGED) == {"stopped": True}


@pytest.mark.parametrize(("own", "of_stack"), [("10", "0.005"), ("0.005", "10")])
def test_of_the_budgets_of_run_and_stack_the_lower_one_holds(
    aws: Deployed, record_run: Any, monkeypatch: pytest.MonkeyPatch, own: str, of_stack: str
) -> None:
    set_budget(aws, own)
    monkeypatch.setenv("MAX_RUN_COST", of_stack)
    assert record_run.call(CHANGED) == {"stopped": True}


def test_the_hourly_repair_stops_a_run_whose_job_runs_too_long(
    aws: Deployed, record_run: Any, stops: list[str]
) -> None:
    record_run.call(running())  # it has run since March
    assert stops == []
    set_budget(aws, "5")
    assert record_run.call(event("schedule")) == {"repaired": 0}
    assert stops == ["BUDGET"]
    assert aws.calls <= allowed_actions("record_run")


def test_the_jobs_of_other_queues_have_their_prices(aws: Deployed, record_run: Any) -> None:
    record_run.call(changed(jobQueue=LAST_RESORT))
    dear = cost.total(attempts.of_run(RUN))
    for row in attempts.of_run(RUN):
        client("dynamodb").delete_item(
            TableName="seqdrop-AttemptTable", Key={"run": {"S": RUN}, "attempt": {"S": row["attempt"]}}
        )
    record_run.call(CHANGED)
    assert dear > cost.total(attempts.of_run(RUN))
