"""Plans, receipts and rows from before a step was added, with the functions that know the step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.plan import steps
from seqdrop.plan.names import canonical
from seqdrop.plan.steps import STEPS, Step, Tool
from seqdrop.runs import table
from support.function_aws import ACCOUNT, MACHINE, REGION, Deployed, event
from support.made_reads import fastq
from support.run_results import write_receipts

OLD_STEPS = [step.name for step in STEPS]
NOT_RECORDED = {"error": "NOT_RECORDED", "cause": "The run could not be recorded."}
BATCH_ERROR = {"Error": "Batch.TooManyRequestsException", "Cause": "Rate exceeded"}
DEPTH = {"vcpus": "4", "memory": "512"}
KINDS = {
    "essential": {"essential": True},
    "not essential": {"essential": False},
    "optional": {"essential": False, "optional": True},
}


@pytest.fixture
def run(aws: Deployed) -> str:
    """Start a run before the step is added."""
    aws.prepare()
    start_run = aws.load("start_run")
    aws.put("NA12878_R1.fastq.gz", fastq(1))
    outcome: dict[str, str] = start_run.call(aws.put("NA12878_R2.fastq.gz", fastq(2)))["outcomes"][0]
    assert outcome["outcome"] == "started"
    return outcome["run"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def add_step(aws: Deployed, kind: str = "essential") -> None:
    """Deploy a table with one more step, in the middle of the others."""
    tools, writes = (Tool("mosdepth"),), {"depths": "{sample}.depths.txt", "lane_depths": "{sample}.{lane}.depths.txt"}
    row = Step("depth", "MeasureDepth", tools, ("bam",), writes, **KINDS[kind])
    aws.monkeypatch.setattr(steps, "STEPS", (*STEPS[:3], row, *STEPS[3:]))


def load_start_run(aws: Deployed) -> Any:
    """Load start_run with the environment of a deployment that has the added step."""
    start_run = aws.load("start_run")
    images = {"IMAGE_TAGS": {"mosdepth": "1"}, "JOB_DEFINITIONS": {"mosdepth": "mosdepth:1"}}
    for variable, value in {"SIZES": {"depth": [*DEPTH.values()]}, **images}.items():
        before = json.loads(start_run.os.environ[variable])
        aws.monkeypatch.setenv(variable, json.dumps({**before, **value}))
    return start_run


def plan_of(aws: Deployed, execution: str) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(aws.input_of(execution))
    return plan


def arn(name: str) -> str:
    return f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"


def manifest(aws: Deployed, plan: dict[str, Any]) -> dict[str, Any] | None:
    text = aws.results().get(plan["manifest"].split("/", 3)[3])
    return json.loads(text) if text else None


def last_state(plan: dict[str, Any], execution: str, **failed: dict[str, Any]) -> dict[str, Any]:
    """Return the event of the state machine's last state."""
    analysis = {step: {**plan[step], **failed.get(step, {})} for step in ("call", "annotate", "collect")}
    return {"plan": {**plan, "analysis": analysis}, "execution": arn(execution)}


def status_event(aws: Deployed, run: str, status: str, **ending: str) -> dict[str, Any]:
    """Return the event of EventBridge when an execution ends."""
    message: dict[str, Any] = event("execution_aborted")
    execution = aws.end(run, status, **ending)
    detail = {"executionArn": execution, "name": run, "input": aws.input_of(run), "status": status, **ending}
    return {**message, "resources": [execution], "detail": {**message["detail"], **detail}}


def resume(aws: Deployed, run: str) -> dict[str, str]:
    outcome: dict[str, str] = load_start_run(aws).call({"resume": run})["outcomes"][0]
    return outcome


def fail(aws: Deployed, run: str) -> None:
    """End the first execution of a run, and its row."""
    execution = aws.end(run, "FAILED")
    assert table.close(run, execution, {"status": "FAILED", "class": "OUT_OF_MEMORY", "message": "It was killed."})


def assert_recorded(aws: Deployed, run: str) -> None:
    """Check that the run succeeded with the steps of its own plan."""
    row, written = aws.row(run) or {}, manifest(aws, plan_of(aws, run))
    assert (row["version"], row["status"], row["reads"], row["variants"]) == (1, "SUCCEEDED", 400, 12)
    assert written
    assert (written["version"], written["complete"], written["missing"]) == (1, True, [])
    assert [job["step"] for job in written["jobs"]] == OLD_STEPS
    assert [subject for subject, _ in aws.messages()] == [f"seqdrop run {run}: done, 1 warning"]


def test_the_state_machine_records_an_older_plan(aws: Deployed, run: str, kind: str) -> None:
    plan = plan_of(aws, run)
    write_receipts(aws, plan, OLD_STEPS)
    add_step(aws, kind)
    answer = aws.load("record_run").call(last_state(plan, run))
    assert answer == {"status": "SUCCEEDED", "class": "", "cause": ""}
    assert_recorded(aws, run)


def test_a_status_event_records_an_older_plan(aws: Deployed, run: str, kind: str) -> None:
    write_receipts(aws, plan_of(aws, run), OLD_STEPS)
    add_step(aws, kind)
    aws.load("record_run").call(status_event(aws, run, "FAILED", **NOT_RECORDED))
    assert_recorded(aws, run)


def test_the_hourly_repair_records_an_older_plan(aws: Deployed, run: str, kind: str) -> None:
    write_receipts(aws, plan_of(aws, run), OLD_STEPS)
    add_step(aws, kind)
    aws.end(run, "FAILED", **NOT_RECORDED)
    record_run = aws.load("record_run")
    assert record_run.call(event("schedule")) == {"repaired": 1}
    assert_recorded(aws, run)
    assert record_run.call(event("schedule")) == {"repaired": 0}


def test_the_hourly_repair_records_the_output_of_an_older_plan(aws: Deployed, run: str) -> None:
    plan = plan_of(aws, run)
    write_receipts(aws, plan, OLD_STEPS)
    add_step(aws)
    aws.end(run, "SUCCEEDED", output=json.dumps(last_state(plan, run)["plan"]))
    assert aws.load("record_run").call(event("schedule")) == {"repaired": 1}
    assert_recorded(aws, run)


def test_a_stopped_run_with_an_older_plan_is_recorded_as_stopped(aws: Deployed, run: str) -> None:
    add_step(aws)
    aws.load("record_run").call(status_event(aws, run, "ABORTED"))
    row = aws.row(run) or {}
    assert (row["status"], row["class"], manifest(aws, plan_of(aws, run))) == ("ABORTED", "STOPPED", None)


@pytest.mark.parametrize(("step", "status"), [("call", "FAILED"), ("collect", "INCOMPLETE")])
def test_an_older_plan_lacks_its_own_steps_only(aws: Deployed, run: str, step: str, status: str) -> None:
    plan = plan_of(aws, run)
    write_receipts(aws, plan, [name for name in OLD_STEPS if name != step])
    add_step(aws)
    failure = {"gave_up": {"class": "NO_SPACE", "message": "The scratch disk is full."}}
    answer = aws.load("record_run").call(last_state(plan, run, **{step: failure}))
    assert (answer["status"], answer["class"]) == (status, "NO_SPACE")
    written = manifest(aws, plan)
    assert (written and written["missing"]) == ([step] if status == "INCOMPLETE" else None)


def test_a_failed_job_of_an_older_plan_is_diagnosed(aws: Deployed, run: str, kind: str) -> None:
    plan = plan_of(aws, run)
    add_step(aws, kind)
    diagnose = aws.load("diagnose")
    for step, state in (("align", "AlignReads"), ("compose", "BuildReport")):
        answer = diagnose.call({**plan, step: {**plan[step], "error": BATCH_ERROR}})
        assert [failure["class"] for failure in answer[step].pop("failures")] == ["THROTTLED"]
        assert answer == {**plan, step: {**plan[step], "attempt": "2"}, "next": state}


def test_a_resumed_run_gets_the_added_step(aws: Deployed, run: str, kind: str) -> None:
    plan, row = plan_of(aws, run), aws.row(run) or {}
    fail(aws, run)
    add_step(aws, kind)
    assert resume(aws, run) == {"outcome": "resumed", "run": run, "execution": arn(f"{run}-2")}
    added = {
        "steps": ["align", "call", "annotate", "depth", "collect", "compose"],
        "depths": f"{plan['results']}/NA12878.depths.txt",
        "lane_depths": canonical([f"{plan['results']}/NA12878.1.depths.txt"]),
        "depth": {
            "job_queue": plan["align"]["job_queue"],
            "job_definition": f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/mosdepth:1",
            **DEPTH,
            "attempt": "1",
            "args": "[]",
        },
    }
    assert plan_of(aws, f"{run}-2") == (plan if kind == "optional" else {**plan, **added})
    resumed = aws.row(run) or {}
    assert resumed == {**row, "execution": arn(f"{run}-2"), "resumed": resumed["resumed"]}


@pytest.mark.parametrize(
    ("kind", "status", "missing"),
    [("essential", "FAILED", None), ("not essential", "INCOMPLETE", ["depth"]), ("optional", "SUCCEEDED", [])],
)
def test_a_resumed_run_without_the_results_of_the_added_step(
    aws: Deployed, run: str, kind: str, status: str, missing: list[str] | None
) -> None:
    fail(aws, run)
    add_step(aws, kind)
    resume(aws, run)
    plan = plan_of(aws, f"{run}-2")
    write_receipts(aws, plan, OLD_STEPS)
    assert aws.load("record_run").call(last_state(plan, f"{run}-2"))["status"] == status
    written = manifest(aws, plan)
    assert (written and written["missing"]) == missing


@pytest.mark.parametrize("kind", ["essential", "not essential"])
def test_a_resumed_run_with_the_results_of_the_added_step(aws: Deployed, run: str, kind: str) -> None:
    write_receipts(aws, plan_of(aws, run), OLD_STEPS)
    fail(aws, run)
    add_step(aws, kind)
    resume(aws, run)
    plan = plan_of(aws, f"{run}-2")
    write_receipts(aws, plan, ["depth"])
    assert aws.load("record_run").call(last_state(plan, f"{run}-2"))["status"] == "SUCCEEDED"
    written = manifest(aws, plan)
    assert written
    assert (written["complete"], written["missing"]) == (True, [])
    assert [job["step"] for job in written["jobs"]] == plan["steps"]


def test_a_failed_job_of_the_added_step_is_diagnosed(aws: Deployed, run: str) -> None:
    fail(aws, run)
    add_step(aws)
    resume(aws, run)
    plan = plan_of(aws, f"{run}-2")
    answer = aws.load("diagnose").call({**plan, "depth": {**plan["depth"], "error": BATCH_ERROR}})
    assert (answer["next"], answer["depth"]["attempt"]) == ("MeasureDepth", "2")


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_the_reads_of_an_older_run_start_no_second_run(aws: Deployed, run: str, status: str) -> None:
    if status == "FAILED":
        fail(aws, run)
    before = aws.rows(), aws.results(), aws.input_of(run)
    add_step(aws)
    outcome = load_start_run(aws).call(event("eventbridge_object_created"))["outcomes"][0]
    assert (outcome["outcome"], outcome["run"]) == ("duplicate", run)
    assert (aws.rows(), aws.results(), aws.input_of(run)) == before
    assert aws.executions() == [run]


@pytest.mark.parametrize("version", [2, None])
@pytest.mark.parametrize("by", ["state machine", "status event", "repair"])
def test_a_plan_of_an_unknown_version_is_not_recorded(aws: Deployed, run: str, version: int | None, by: str) -> None:
    plan = with_version(aws, run, version)
    write_receipts(aws, plan, OLD_STEPS)
    before = aws.rows(), aws.results()
    record_run = aws.load("record_run")
    if by == "repair":
        aws.end(run, "FAILED", **NOT_RECORDED)
        record_run.call(event("schedule"))
    else:
        is_event = by == "status event"
        message = status_event(aws, run, "ABORTED") if is_event else last_state(plan, run)
        answer = record_run.call(message)
        assert (answer["status"], answer["class"]) == ("FAILED", "BAD_INPUT.PLAN")
        assert answer["cause"].splitlines()[0] == (
            "The plan of this run was not made by start_run."
            f" Its version is {version}; this deployment reads versions up to 1."
        )
    assert (aws.rows(), aws.results(), aws.messages()) == (*before, [])


@pytest.mark.parametrize("version", [2, None])
def test_a_plan_of_an_unknown_version_is_not_resumed(aws: Deployed, run: str, version: int | None) -> None:
    with_version(aws, run, version)
    fail(aws, run)
    before = aws.rows()
    assert resume(aws, run) == {
        "outcome": "refused",
        "run": run,
        "reason": "its plan is from another version of seqdrop: upload the reads again",
    }
    assert (aws.rows(), aws.executions()) == (before, [run])


def with_version(aws: Deployed, run: str, version: int | None) -> dict[str, Any]:
    """Change the version in the plan of an execution; None removes it."""
    plan = plan_of(aws, run)
    del plan["version"]
    if version is not None:
        plan["version"] = version
    aws.end(run, "RUNNING", execution_input=canonical(plan))
    return plan
