"""seqdrop.runs.executions: a run that ended goes on under another execution, asked for through start_run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.plan import steps
from seqdrop.runs import executions, table
from support.function_aws import MACHINE, RESULTS, Deployed, event, failing
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
    "reads": 400,
}


@pytest.fixture
def start_run(aws: Deployed) -> Any:
    aws.prepare()
    return aws.load("start_run")


@pytest.fixture
def failed(aws: Deployed, start_run: Any) -> str:
    """A run that failed, and its row says why."""
    return fail(aws, start_run)


def fail(aws: Deployed, start_run: Any) -> str:
    aws.put("NA12878_R1.fastq.gz", fastq(1))
    run: str = start_run.call(aws.put("NA12878_R2.fastq.gz", fastq(2)))["outcomes"][0]["run"]
    assert table.close(run, aws.end(run, "FAILED"), ENDING)
    return run


def resumed(start_run: Any, run: str) -> dict[str, str]:
    (outcome,) = start_run.call({"resume": run})["outcomes"]
    return outcome  # type: ignore[no-any-return]


def refusal(start_run: Any, run: str) -> str:
    outcome = resumed(start_run, run)
    assert (outcome["outcome"], outcome["run"]) == ("refused", run)
    return outcome["reason"]


def test_a_failed_run_goes_on_with_the_same_plan_under_the_next_name(
    aws: Deployed, start_run: Any, failed: str
) -> None:
    before = aws.row(failed) or {}
    execution = f"{EXECUTION}:{failed}-2"
    assert resumed(start_run, failed) == {"outcome": "resumed", "run": failed, "execution": execution}
    assert aws.input_of(f"{failed}-2") == aws.input_of(failed)
    row = aws.row(failed) or {}
    kept = {name: value for name, value in before.items() if name not in {*ENDING, "notify_pending"} or name == "reads"}
    assert row == {**kept, "status": "RUNNING", "execution": execution, "resumed": row["resumed"]}


def test_it_gets_the_sizes_of_today_and_nothing_else_of_today(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {step: {"vcpus": "9", "memory": "99999"} for step in steps.names()}
    monkeypatch.setenv("SIZES", json.dumps(sizes))
    monkeypatch.setenv("RESULTS_BUCKET", "elsewhere")
    monkeypatch.setenv("NORMAL_QUEUE", "elsewhere")
    resumed(start_run, failed)
    first, again = (json.loads(aws.input_of(name)) for name in (failed, f"{failed}-2"))
    assert again == {**first, **{step: {**first[step], **sizes[step]} for step in steps.names()}}


def test_it_may_be_resumed_again_and_again(aws: Deployed, start_run: Any, failed: str) -> None:
    for number in range(2, 12):
        execution = resumed(start_run, failed)["execution"]
        assert execution == f"{EXECUTION}:{failed}-{number}"
        assert table.close(failed, aws.end(f"{failed}-{number}", "ABORTED"), ENDING)
    assert len(aws.executions()) == 11


def test_what_the_first_execution_left_does_not_close_a_resumed_row(aws: Deployed, start_run: Any, failed: str) -> None:
    resumed(start_run, failed)
    late = event("execution_aborted")
    late["detail"] |= {"executionArn": f"{EXECUTION}:{failed}", "name": failed, "input": aws.input_of(failed)}
    aws.load("record_run").call(late)
    assert (aws.row(failed) or {})["status"] == "RUNNING"
    assert aws.messages() == []


def test_an_event_that_comes_again_meanwhile_is_a_duplicate(aws: Deployed, start_run: Any, failed: str) -> None:
    resumed(start_run, failed)
    row = aws.row(failed)
    told = event("eventbridge_object_created")
    assert start_run.call(told) == {"outcomes": [{"outcome": "duplicate", "run": failed}]}
    aws.forget_executions()
    assert start_run.call(told) == {"outcomes": [{"outcome": "duplicate", "run": failed}]}
    assert (aws.row(failed), aws.executions()) == (row, [])


def test_two_who_resume_at_once_start_one_execution(aws: Deployed, start_run: Any, failed: str) -> None:
    """The second reads the row before the first has changed it."""
    stale = table.get(failed) or {}
    first = resumed(start_run, failed)
    assert not table.reopen(failed, stale, f"{EXECUTION}:{failed}-2")
    assert refusal(start_run, failed) == "it is still running"
    assert sorted(aws.executions()) == [failed, first["execution"].rpartition(":")[2]]


def test_a_crash_between_row_and_execution_is_mended_by_resuming_again(
    aws: Deployed, start_run: Any, failed: str
) -> None:
    with failing("stepfunctions.StartExecution", "?"), pytest.raises(start_run.NotHandledError):
        resumed(start_run, failed)
    assert (aws.row(failed) or {})["status"] == "RUNNING"
    assert aws.executions() == [failed]
    assert resumed(start_run, failed)["execution"] == f"{EXECUTION}:{failed}-2"
    assert sorted(aws.executions()) == [failed, f"{failed}-2"]


def test_a_run_is_not_closed_as_never_begun_while_somebody_resumes_it(
    aws: Deployed, start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repair finds no execution; before it closes the row, somebody resumes the run."""
    assert table.reopen(failed, table.get(failed) or {}, f"{EXECUTION}:{failed}-2")
    resume_long_ago(aws, failed)
    record_run, describe = aws.load("record_run"), executions.describe

    def meanwhile(execution: str) -> Any:
        found = describe(execution)
        monkeypatch.setattr(executions, "describe", describe)
        assert resumed(start_run, failed)["outcome"] == "resumed"
        return found

    monkeypatch.setattr(executions, "describe", meanwhile)
    assert record_run.call(event("schedule")) == {"repaired": 0}
    assert (aws.row(failed) or {})["status"] == "RUNNING"
    assert aws.messages() == []


def test_results_of_before_stay_when_a_run_is_resumed_and_never_begins(aws: Deployed, failed: str) -> None:
    row = table.get(failed) or {}
    aws.s3.put_object(Bucket=RESULTS, Key=f"{row['results'].split('/', 3)[3]}/manifest.json", Body=b"{}")
    assert table.reopen(failed, row, f"{EXECUTION}:{failed}-2")
    resume_long_ago(aws, failed)
    assert aws.load("record_run").call(event("schedule")) == {"repaired": 1}
    [(_, text)] = aws.messages()
    assert "has no new results; the earlier ones remain" in text


def resume_long_ago(aws: Deployed, run: str) -> None:
    """As if it had been resumed before the last repair."""
    then = {":then": "2026-01-01T00:00:00Z"}
    aws.table.update_item(Key={"run": run}, UpdateExpression="SET resumed = :then", ExpressionAttributeValues=then)


def test_a_run_whose_row_was_closed_too_early_is_not_started_beside_itself(
    aws: Deployed, start_run: Any, failed: str
) -> None:
    again = resumed(start_run, failed)["execution"]
    assert table.close(failed, again, ENDING)
    assert refusal(start_run, failed) == "it is still running"


def test_a_stack_that_has_lost_its_images_resumes_nothing(
    start_run: Any, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_TAGS", '{"compose": {"multiqc": "none"}}')
    assert refusal(start_run, failed).startswith("the stack has no image of multiqc yet")


def test_what_cannot_be_resumed_is_refused_with_a_sentence(aws: Deployed, start_run: Any, failed: str) -> None:
    assert refusal(start_run, "0" * 20) == f"there is no run {'0' * 20}"
    resumed(start_run, failed)
    assert refusal(start_run, failed) == "it is still running"
    aws.end(f"{failed}-2", "FAILED")
    assert refusal(start_run, failed) == "it has just ended and is not recorded yet: try again in a minute"
    assert table.close(failed, f"{EXECUTION}:{failed}-2", {"status": "SUCCEEDED"})
    assert refusal(start_run, failed) == "it succeeded: there is nothing left to do"
    assert sorted(aws.executions()) == [failed, f"{failed}-2"]


def test_a_run_that_was_refused_cannot_be_resumed(aws: Deployed) -> None:
    start_run = aws.load("start_run")  # with no reference
    aws.put("NA12878_R1.fastq.gz", fastq(1))
    run = start_run.call(aws.put("NA12878_R2.fastq.gz", fastq(2)))["outcomes"][0]["run"]
    assert refusal(start_run, run) == "it was never started: correct what its message says, then upload the reads again"


def test_a_run_of_long_ago_is_forgotten(aws: Deployed, start_run: Any, failed: str) -> None:
    aws.forget_executions()
    assert refusal(start_run, failed) == "its plan was deleted 90 days after its end: upload the reads again"
    assert (aws.row(failed) or {})["status"] == "FAILED"


def test_reads_and_results_stay_where_they_were(aws: Deployed, start_run: Any, failed: str) -> None:
    before = aws.results()
    resumed(start_run, failed)
    assert aws.results() == before
    assert json.loads(aws.input_of(f"{failed}-2"))["results"] == f"s3://{RESULTS}/NA12878/{failed}"


def test_the_name_of_an_execution_leaves_the_alias_out(start_run: Any) -> None:
    assert executions.arn("x") == f"{EXECUTION}:x"
