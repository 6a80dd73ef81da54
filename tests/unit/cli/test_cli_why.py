from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop_cli import stack as stacks
from seqdrop_cli import why
from seqdrop_cli.progress import StepState
from seqdrop_cli.stack import Stack
from support import cli_aws

RUN = "7" * 20
LOGS = f"Complete logs: seqdrop logs {RUN}"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
        yield stack


def write_verdict(stack: Stack, name: str, failure_class: str, message: str) -> None:
    verdict = Verdict(failure_class, message, "bwa", 65, ("[E::bad] \x1b[31mgzip\x1b[0m",), 7, "j")
    cli_aws.write_json(stack, "results", f"S7/{RUN}/failures/{name}.json", verdict.to_json())


def explain(stack: Stack, **row: Any) -> list[str]:
    """Write the row of a run; return the lines of `seqdrop why`."""
    stack.table.put_item(Item={"run": RUN, "sample": "S7", "started": "2026-03-02T10:00:00Z", **row})
    code, output = cli_aws.seqdrop("why", "777")
    assert code == 0
    return output.splitlines()


def test_a_failure_has_class_message_advice_tries_last_lines_and_logs(stack: Stack) -> None:
    write_verdict(stack, "align.1.1", "BAD_INPUT.TRUNCATED", "R2 ends in the middle of a record.")
    row = {
        "status": "FAILED",
        "execution": cli_aws.EXECUTION,
        "results": f"s3://results/S7/{RUN}",
        "step": "align",
        "class": "BAD_INPUT.TRUNCATED",
        "message": "R2 ends in the middle of a record.",
        "advice": "Copy the file again, then `seqdrop resume RUN`.",
        "tried": ["align, try 1: SPOT_RECLAIMED: Reclaimed.; then: on-demand instances only"],
        "tool_lines": ["[E::bad] gzip"],
        "log": "/jobs bwa/default/7c1f",
    }
    assert explain(stack, **row) == [
        "BAD_INPUT.TRUNCATED in align",
        "R2 ends in the middle of a record.",
        f"Copy the file again, then `seqdrop resume {RUN} --stack seqdrop`.",
        "",
        "Tried:",
        "  align, try 1: SPOT_RECLAIMED: Reclaimed.; then: on-demand instances only",
        "",
        "Last lines of bwa:",
        "[E::bad] gzip",
        "",
        f"{LOGS} align --stack seqdrop",
        "  (log stream /jobs bwa/default/7c1f)",
    ]


def test_without_a_verdict_the_lines_in_the_row_are_shown(stack: Stack) -> None:
    row = {"class": "TOOL_FAILED", "message": "It failed.", "advice": "Check.", "step": "call"}
    assert explain(stack, status="FAILED", tool_lines=["[E] no"], **row) == [
        "TOOL_FAILED in call",
        "It failed.",
        "Check.",
        "",
        "Last lines of call:",
        "[E] no",
        "",
        "No job was started.",
    ]


def test_a_verdict_that_cannot_be_read_is_ignored_and_one_of_another_class_is_an_earlier_failure(stack: Stack) -> None:
    write_verdict(stack, "align.1.1", "OUT_OF_MEMORY", "bwa was killed.")
    stack.s3.put_object(Bucket="results", Key=f"S7/{RUN}/failures/align.2.1.json", Body=b"\xff{")
    row = {"class": "TIMEOUT", "message": "Too long.", "step": "align", "results": f"s3://results/S7/{RUN}"}
    lines = explain(stack, status="FAILED", **row)
    assert lines[:2] == ["TIMEOUT in align", "Too long."]
    assert lines[3:5] == ["Earlier failure:", "  align, try 1: OUT_OF_MEMORY: bwa was killed."]


def test_files_that_wait_have_the_names_of_the_missing_ones(stack: Stack) -> None:
    assert explain(stack, status="WAITING", message="a_R2.fq is missing; R1 came 2026-03-02 09:59 UTC") == [
        "Waiting since 2026-03-02 10:00: a_R2.fq is missing; R1 came 2026-03-02 09:59 UTC.",
        "Upload the missing files; if these reads have no mates, upload them again with seqdrop-layout=single. After "
        "two weeks this row is deleted.",
    ]


def test_an_ignored_file_has_the_reason(stack: Stack) -> None:
    assert explain(stack, status="IGNORED", message="a_I1.fq is ignored: it has index reads, which no step needs") == [
        "a_I1.fq is ignored: it has index reads, which no step needs.",
        "No run was started. After two weeks this row is deleted.",
    ]


def test_a_refused_run_has_started_no_job(stack: Stack) -> None:
    row = {"class": "REFERENCE", "message": "hg99 is not prepared.", "advice": "Prepare it."}
    assert explain(stack, status="FAILED", **row) == [
        "REFERENCE",
        "hg99 is not prepared.",
        "Prepare it.",
        "",
        "No job was started.",
    ]


def test_a_stopped_run_has_the_command_that_resumes_it(stack: Stack) -> None:
    row = {
        "execution": cli_aws.EXECUTION,
        "class": "STOPPED",
        "message": "The run was stopped.",
        "advice": "A user stopped it: to continue where it stopped, run `seqdrop resume RUN`.",
    }
    lines = explain(stack, status="ABORTED", **row)
    assert lines[:3] == [
        "STOPPED",
        "The run was stopped.",
        f"A user stopped it: to continue where it stopped, run `seqdrop resume {RUN} --stack seqdrop`.",
    ]
    assert lines[-1] == f"{LOGS} --stack seqdrop"


def test_a_run_that_never_began_has_the_command_that_starts_it(stack: Stack) -> None:
    assert explain(stack, status="RUNNING", execution=cli_aws.EXECUTION) == [
        f"Run {RUN} has not begun. If it does not begin: `seqdrop resume {RUN} --stack seqdrop`."
    ]


def test_a_run_that_waits_in_the_queue_has_the_reason_of_batch_and_the_likely_cause(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_large = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - too large"
    states = [StepState("align", "waiting", queued="RUNNABLE", reason=too_large), StepState("call", "waiting")]
    monkeypatch.setattr(why, "step_states", lambda *_: states)
    execution = cli_aws.end_execution(stack, RUN, {"steps": ["align", "call"]})
    assert explain(stack, status="RUNNING", execution=execution) == [
        f"Run {RUN} is running.",
        f"  align      waiting: RUNNABLE ({too_large}). Likely cause: the job needs more vCPUs than MaxVcpus allows.",
    ]


def test_a_running_run_has_its_steps_and_its_failures_so_far(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    states = [StepState("align", "running", 65, 2), StepState("polish", "waiting")]
    cli_aws.end_execution(stack, cli_aws.RUN, {"steps": [state.step for state in states]})
    steps_of_call = []

    def step_states(_stack: Stack, _execution: str, _run: str, steps: tuple[str, ...]) -> list[StepState]:
        steps_of_call.append(steps)
        return states

    monkeypatch.setattr(why, "step_states", step_states)
    write_verdict(stack, "align.1.1", "OUT_OF_MEMORY", "bwa was killed.")
    lines = explain(stack, status="RUNNING", execution=cli_aws.EXECUTION, results=f"s3://results/S7/{RUN}")
    assert lines == [
        f"Run {RUN} is running.",
        "  align      running, try 2  1 min 05 s",
        "",
        "Failures so far, tried again:",
        "  align, try 1: OUT_OF_MEMORY: bwa was killed.",
    ]
    assert steps_of_call == [("align", "polish")]


def test_a_run_that_succeeded_has_its_tries_and_its_warnings(stack: Stack) -> None:
    manifest = {"warnings": [{"step": "align", "warning": "DUPLICATE_NAMES", "message": "12 names are duplicates."}]}
    tried = "align, try 1: OUT_OF_MEMORY: Killed.; then: memory doubled to 4096 MiB"
    row = {"status": "SUCCEEDED", "results": f"s3://results/S7/{RUN}"}
    success = f"Run {RUN} succeeded: its results are complete."
    assert explain(stack, **row) == [success]
    cli_aws.write_json(stack, "results", f"S7/{RUN}/manifest.json", manifest)
    assert explain(stack, **row, tried=[tried], warnings=["align: of the row"]) == [
        f"Run {RUN} succeeded with 1 warning: read this before you use the results.",
        "Warnings:",
        "  align: 12 names are duplicates.",
        "",
        "Tried:",
        f"  {tried}",
    ]


def test_the_warnings_of_a_run_whose_results_were_deleted_are_those_of_its_row(stack: Stack) -> None:
    row = {"status": "SUCCEEDED", "results": f"s3://results/S7/{RUN}", "warnings": ["align: 12 names.", "call: deep."]}
    assert explain(stack, **row)[1:] == ["Warnings:", "  align: 12 names.", "  call: deep."]


def test_an_execution_without_a_row_is_explained_by_its_whole_cause(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    cause = "bwa failed.\nClass: TOOL_FAILED in prepare\nThe tool's last lines:\n  [E] no"
    why.explain(stack, {"run": "r", "status": "FAILED", "class": "TOOL_FAILED", "message": cause, "execution": "arn"})
    assert capsys.readouterr().out.splitlines()[:5] == ["TOOL_FAILED", *cause.split("\n")]
