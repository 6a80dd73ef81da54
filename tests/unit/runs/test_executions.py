"""seqdrop.runs.executions: a run that ended is resumed under another execution, through start_run."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from seqdrop.plan import steps
from seqdrop.runs import executions, table
from support.function_aws import MACHINE, RESULTS, Deployed, event, fail_next_call
from support.made_reads import fastq

EXECUTION = MACHINE.replace(":stateMachine:", ":execution:")
ENDING = {
    "status": "FAILED",
    "class": "OUT_OF_MEMORY",
    "message": "It was killed.",
    "advice": "More.",
    "step": "align",
    "finished": "2026-03-02T09:40:03Z",
    "tool_lines": ["Killed"],
    "log": "/aws/batch/x",
    "cost": "0.01",
    "qc": "FAIL",
    "reads": 400,
}


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    aws.prepare()
    return aws.load("start_run")


@pytest.fixture
def failed(aws: Deployed, start_run: Any) -> str:
    """Start a run, end it, and write the failure into its row."""
    aws.put("NA12878_R1.fastq.gz", fastq(1))
    run: str = start_run.call(aws.put("NA12878_R2.fastq.gz", fastq(2)))["outcomes"][0]["run"]
    assert table.close(run, aws.end(run, "FAILED"), ENDING)
    return run


def resume(start_run: Any, run: str) -> dict[str, str]:
    (outcome,) = start_run.call({"resume": run})["outcomes"]
    return outcome  # type: ignore[no-any-return]


def refusal(start_run: Any, run: str) -> str:
    """Return the reason why a run is not resumed."""
    outcome = resume(start_run, run)
    assert (outcome["outcome"], outcome["run"]) == ("refused", run)
    return outcome["reason"]


def test_a_failed_run_is_resumed_with_the_same_plan_under_the_next_name(
    aws: Deployed, start_run: Any, failed: str
) -> None:
    before = aws.row(failed) or {}
    execution = f"{EXECUTION}:{failed}-2"
    assert resume(start_run, failed) == {"outcome": "resumed", "run": failed, "execution": execution}
    assert aws.input_of(f"{failed}-2") == aws.input_of(failed)
    row = aws.row(failed) or {}
    kept = {name: value for name, value in before.items() if name not in {*ENDING, "notify_pending"} or name == "reads"}
    assert row == {**kept, "status": "RUNNING", "execution": execution, "resumed": row["resumed"]}


def test_a_resumed_run_gets_the_current_sizes_and_keeps_its_other_settings(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = (*steps.names(), steps.SCATTER.name)
    monkeypatch.setenv("SIZES", json.dumps({job: ["9", "99999"] for job in jobs}))
    monkeypatch.setenv("RESULTS_BUCKET", "elsewhere")
    monkeypatch.setenv("NORMAL_QUEUE", "elsewhere")
    resume(start_run, failed)
    first, second = (json.loads(aws.input_of(name)) for name in (failed, f"{failed}-2"))
    assert second == {**first, **{job: {**first[job], "vcpus": "9", "memory": "99999"} for job in jobs}}


def test_a_run_that_has_cost_its_budget_is_resumed_with_a_higher_one(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RUN_COST", "0.01")
    spent = "its jobs have cost $0.01, and its budget is $0.01: "
    assert refusal(start_run, failed) == f"{spent}this is the limit of the stack, whose owner can raise MaxRunCost"
    monkeypatch.setenv("MAX_RUN_COST", "5")
    for budget, reason in (
        ("0.01", f"{spent}give it a higher one with --max-cost"),
        ("much", "its budget must be an amount in USD such as 12.50, not much"),
        (
            "6",
            "a budget of $6.00 is above the limit of this stack, $5.00: choose at most $5.00, or ask the owner of the "
            "stack to raise MaxRunCost",
        ),
    ):
        (outcome,) = start_run.call({"resume": failed, "max_cost": budget})["outcomes"]
        assert (outcome["outcome"], outcome["reason"]) == ("refused", reason)
    (outcome,) = start_run.call({"resume": failed, "max_cost": "0.02"})["outcomes"]
    assert outcome["outcome"] == "resumed"
    assert (aws.row(failed) or {})["max_cost"] == "0.02"


def test_a_run_can_be_resumed_many_times(aws: Deployed, start_run: Any, failed: str) -> None:
    for number in range(2, 12):
        execution = resume(start_run, failed)["execution"]
        assert execution == f"{EXECUTION}:{failed}-{number}"
        assert table.close(failed, aws.end(f"{failed}-{number}", "ABORTED"), ENDING)
    assert len(aws.executions()) == 11


def test_the_first_execution_does_not_close_the_row_of_a_resumed_run(
    aws: Deployed, start_run: Any, failed: str
) -> None:
    resume(start_run, failed)
    late = event("execution_aborted")
    late["detail"] |= {"executionArn": f"{EXECUTION}:{failed}", "name": failed, "input": aws.input_of(failed)}
    aws.load("record_run").call(late)
    assert (aws.row(failed) or {})["status"] == "RUNNING"
    assert aws.messages() == []


def test_an_event_of_a_resumed_run_is_a_duplicate(aws: Deployed, start_run: Any, failed: str) -> None:
    resume(start_run, failed)
    row = aws.row(failed)
    upload = event("eventbridge_object_created")
    assert start_run.call(upload) == {"outcomes": [{"outcome": "duplicate", "run": failed}]}
    aws.forget_executions()
    assert start_run.call(upload) == {"outcomes": [{"outcome": "duplicate", "run": failed}]}
    assert (aws.row(failed), aws.executions()) == (row, [])


def test_a_run_that_another_caller_resumes_meanwhile_is_not_resumed_twice(
    aws: Deployed, start_run: Any, failed: str
) -> None:
    def resume_first(plan: dict[str, Any], _row: Any) -> dict[str, Any]:
        assert executions.resume(failed, lambda other, _: other).endswith(f"{failed}-2")
        return plan

    with pytest.raises(executions.NotResumableError, match="another caller has just resumed it"):
        executions.resume(failed, resume_first)
    assert len(aws.executions()) == 2


def test_only_a_running_execution_is_stopped(aws: Deployed, start_run: Any, failed: str) -> None:
    assert not executions.stop(f"{EXECUTION}:{failed}", "by a user")
    assert not executions.stop(f"{EXECUTION}:unknown", "by a user")
    assert executions.stop(resume(start_run, failed)["execution"], "by a user")


def test_two_concurrent_resumptions_start_one_execution(aws: Deployed, start_run: Any, failed: str) -> None:
    """The second caller reads the row before the first one changes it."""
    stale = table.get(failed) or {}
    first = resume(start_run, failed)
    assert not table.reopen(failed, stale, f"{EXECUTION}:{failed}-2")
    assert refusal(start_run, failed) == "it is still running"
    assert sorted(aws.executions()) == [failed, first["execution"].rpartition(":")[2]]


def test_resuming_again_repairs_a_crash_between_row_and_execution(aws: Deployed, start_run: Any, failed: str) -> None:
    with fail_next_call("stepfunctions.StartExecution", "?"), pytest.raises(start_run.NotHandledError):
        resume(start_run, failed)
    assert (aws.row(failed) or {})["status"] == "RUNNING"
    assert aws.executions() == [failed]
    assert resume(start_run, failed)["execution"] == f"{EXECUTION}:{failed}-2"
    assert sorted(aws.executions()) == [failed, f"{failed}-2"]


def test_the_repair_does_not_close_a_run_that_is_resumed_at_the_same_time(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repair finds no execution; before it closes the row, the run is resumed."""
    assert table.reopen(failed, table.get(failed) or {}, f"{EXECUTION}:{failed}-2")
    backdate_resumption(aws, failed)
    record_run, describe = aws.load("record_run"), executions.describe

    def describe_then_resume(execution: str) -> Any:
        description = describe(execution)
        monkeypatch.setattr(executions, "describe", describe)
        assert resume(start_run, failed)["outcome"] == "resumed"
        return description

    monkeypatch.setattr(executions, "describe", describe_then_resume)
    assert record_run.call(event("schedule")) == {"repaired": 0}
    assert (aws.row(failed) or {})["status"] == "RUNNING"
    assert aws.messages() == []


def test_a_resumed_run_that_never_begins_keeps_its_earlier_results(aws: Deployed, failed: str) -> None:
    row = table.get(failed) or {}
    aws.s3.put_object(Bucket=RESULTS, Key=f"{row['results'].split('/', 3)[3]}/manifest.json", Body=b"{}")
    assert table.reopen(failed, row, f"{EXECUTION}:{failed}-2")
    backdate_resumption(aws, failed)
    assert aws.load("record_run").call(event("schedule")) == {"repaired": 1}
    [(_, text)] = aws.messages()
    assert "has no new results; the earlier ones remain" in text


def backdate_resumption(aws: Deployed, run: str) -> None:
    """Set the time of the resumption to before the last repair."""
    then = {":then": "2026-01-01T00:00:00Z"}
    aws.table.update_item(Key={"run": run}, UpdateExpression="SET resumed = :then", ExpressionAttributeValues=then)


def test_a_running_execution_is_not_resumed_even_if_its_row_is_closed(
    aws: Deployed, start_run: Any, failed: str
) -> None:
    execution = resume(start_run, failed)["execution"]
    assert table.close(failed, execution, ENDING)
    assert refusal(start_run, failed) == "it is still running"


def test_a_stack_without_images_resumes_no_run(start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {**json.loads(os.environ["IMAGE_TAGS"]), "report": "none"}
    monkeypatch.setenv("IMAGE_TAGS", json.dumps(tags))
    assert refusal(start_run, failed).startswith("the stack has no image of report yet")


def test_a_run_that_cannot_be_resumed_is_refused_with_the_reason(aws: Deployed, start_run: Any, failed: str) -> None:
    assert refusal(start_run, "0" * 20) == "it does not exist"
    resume(start_run, failed)
    assert refusal(start_run, failed) == "it is still running"
    aws.end(f"{failed}-2", "FAILED")
    assert refusal(start_run, failed) == "it has just ended and is not recorded yet: try again in a minute"
    assert table.close(failed, f"{EXECUTION}:{failed}-2", {"status": "SUCCEEDED"})
    assert refusal(start_run, failed) == "it succeeded: there is nothing left to do"
    assert sorted(aws.executions()) == [failed, f"{failed}-2"]


def test_a_run_whose_reference_is_still_not_prepared_is_refused_with_that_reason(aws: Deployed) -> None:
    start_run = aws.load("start_run")  # without a prepared reference
    aws.put("NA12878_R1.fastq.gz", fastq(1))
    run = start_run.call(aws.put("NA12878_R2.fastq.gz", fastq(2)))["outcomes"][0]["run"]
    assert refusal(start_run, run) == "reference demo is not prepared; none is prepared yet"


def test_refused_chunks_cannot_be_resumed(aws: Deployed, start_run: Any) -> None:
    for chunk in ("001", "002"):
        for mate in (1, 2):
            upload = aws.put(f"S_L001_R{mate}_{chunk}.fastq.gz", fastq(mate))
    run = start_run.call(upload)["outcomes"][0]["run"]
    assert refusal(start_run, run) == "it was never started: correct what its message says, then upload the reads again"


def test_a_run_whose_plan_was_deleted_is_not_resumed(aws: Deployed, start_run: Any, failed: str) -> None:
    aws.forget_executions()
    assert refusal(start_run, failed) == "its plan was deleted 90 days after its end: upload the reads again"
    assert (aws.row(failed) or {})["status"] == "FAILED"


def test_a_resumed_run_keeps_its_folder_and_its_results(aws: Deployed, start_run: Any, failed: str) -> None:
    before = aws.results()
    resume(start_run, failed)
    assert aws.results() == before
    assert json.loads(aws.input_of(f"{failed}-2"))["results"] == f"s3://{RESULTS}/NA12878/{failed}"


def test_the_arn_of_an_execution_does_not_have_the_alias(start_run: Any) -> None:
    assert executions.arn("x") == f"{EXECUTION}:x"


def test_a_resumed_run_keeps_its_tools_when_the_stack_has_others(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGNER", "bwa")
    monkeypatch.setenv("CALLER", "strelka")
    before = json.loads(aws.input_of(failed))
    assert resume(start_run, failed)["outcome"] == "resumed"
    assert json.loads(aws.input_of(f"{failed}-2")) == before


def test_a_resumed_run_needs_the_images_of_its_own_tools(
    start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGNER", "bwa")
    tags = json.loads(os.environ["IMAGE_TAGS"])
    monkeypatch.setenv("IMAGE_TAGS", json.dumps({**tags, "bwa_mem3": "none"}))
    assert refusal(start_run, failed).startswith("the stack has no image of bwa_mem3 yet: run `make push STACK=seqdrop")


def rewrite_plan(aws: Deployed, monkeypatch: pytest.MonkeyPatch, run: str, plan: dict[str, Any]) -> None:
    """Let the execution of a run have the plan of another version of seqdrop."""
    described = executions.describe(executions.arn(run))
    assert described
    monkeypatch.setattr(executions, "describe", lambda *_: {**described, "input": json.dumps(plan)})


def test_a_plan_without_tools_and_job_definitions_is_resumed_with_those_of_its_row(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = json.loads(aws.input_of(failed))
    old = {word: value for word, value in plan.items() if word not in {"aligner", "caller"}}
    for step in steps.names():
        old[step] = {word: value for word, value in old[step].items() if word != "job_definition"}
    monkeypatch.setenv("ALIGNER", "bwa")
    rewrite_plan(aws, monkeypatch, failed, old)
    assert resume(start_run, failed)["outcome"] == "resumed"
    assert json.loads(aws.input_of(f"{failed}-2")) == plan


def test_a_run_with_a_tool_that_no_longer_exists_is_not_resumed(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite_plan(aws, monkeypatch, failed, {**json.loads(aws.input_of(failed)), "aligner": "bwa_mem2"})
    assert refusal(start_run, failed) == "this version of seqdrop has no tool bwa_mem2"
