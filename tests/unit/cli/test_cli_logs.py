"""`seqdrop logs` on a run whose execution was deleted, so that its receipts name its jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from seqdrop_cli import logs as logs_module
from seqdrop_cli import stack as stacks
from seqdrop_cli.errors import CliError
from seqdrop_cli.follow import Moment
from seqdrop_cli.progress import Job
from seqdrop_cli.stack import Stack
from support import cli_aws

LINE = {"level": "INFO", "message": "uploaded", "timestamp": "2026-03-01 10:00:07,992+0000", "run": "r", "size": 7}
ROW = {"run": cli_aws.RUN, "sample": "S1", "status": "SUCCEEDED", "results": cli_aws.RESULTS}
Logs = Callable[..., list[str]]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        stack.table.put_item(Item={**ROW, "execution": cli_aws.EXECUTION})
        cli_aws.write_json(stack, "results", f"S1/{cli_aws.RUN}/jobs/call.json", {"job_id": "j7"})
        stack.logs.create_log_group(logGroupName="/jobs")
        monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
        yield stack


@pytest.fixture
def logs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Logs:
    """Write lines to the log stream of the job, then run `seqdrop logs`; return the lines that it prints."""

    def describe_jobs(jobs: list[str]) -> dict[str, Any]:
        return {"jobs": [{"jobId": job, "container": {"logStreamName": "s"}} for job in jobs]}

    def call(lines: list[str], *words: str) -> list[str]:
        stack.logs.create_log_stream(logGroupName="/jobs", logStreamName="s")
        if lines:
            events: Any = [{"timestamp": round(time.time() * 1000), "message": line} for line in lines]
            stack.logs.put_log_events(logGroupName="/jobs", logStreamName="s", logEvents=events)
        code, output = cli_aws.seqdrop("logs", cli_aws.RUN, *words)
        assert code == 0, output
        return output.splitlines()

    monkeypatch.setattr(stack.batch, "describe_jobs", describe_jobs)
    return call


def test_json_lines_are_formatted_and_other_lines_unchanged(logs: Logs) -> None:
    lines = [json.dumps(LINE), json.dumps({**LINE, "tool": "bwa"}), "[M::mem] 7", "7", "{}"]
    assert logs(lines) == [
        "== call (j7)",
        "10:00:07 uploaded  size=7",
        "10:00:07 bwa: uploaded  size=7",
        "[M::mem] 7",
        "7",
        "{}",
    ]


def test_new_lines_are_followed_until_the_run_ends(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stream of the first job appears late; each line is printed once, with the heading of its job."""
    jobs = [Job("align", "j1", 1), Job("call", "j2", 1)]

    def write(stream: str, *lines: str) -> None:
        events: Any = [{"timestamp": round(time.time() * 1000), "message": line} for line in lines]
        stack.logs.put_log_events(logGroupName="/jobs", logStreamName=stream, logEvents=events)

    def watch(*_: Any) -> Iterator[Moment]:
        details: Any = {job.job_id: {"container": {"logStreamName": job.job_id}} for job in jobs}
        yield Moment("RUNNING", 1.0, jobs[:1], {}, [])
        yield Moment("RUNNING", 1.0, jobs[:1], details, [])
        for stream in ("j1", "j2"):
            stack.logs.create_log_stream(logGroupName="/jobs", logStreamName=stream)
        write("j1", "one", json.dumps(LINE))
        yield Moment("RUNNING", 2.0, jobs, details, [])
        write("j1", "two")
        write("j2", "three")
        yield Moment("RUNNING", 3.0, jobs, details, [])
        write("j2", "four")
        yield Moment("SUCCEEDED", 4.0, jobs, details, [])

    monkeypatch.setattr(logs_module, "watch", watch)
    row = {**ROW, "execution": cli_aws.EXECUTION}
    logs_module.follow_logs(stack, row, None, raw=False)
    first = ["== align (j1)", "one", "10:00:07 uploaded  size=7", "two"]
    assert capsys.readouterr().out.splitlines() == [*first, "== call (j2)", "three", "four"]
    with pytest.raises(CliError, match="No step sort"):
        logs_module.follow_logs(stack, row, "sort", raw=False)


def test_the_lines_of_the_children_of_an_array_job_are_followed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Batch calls the parent PENDING and gives it no stream; a child that has ended may still get its last lines."""
    children = {f"j1:{index}": {"jobId": f"j1:{index}", "status": "RUNNING", "container": {}} for index in range(2)}
    asked: list[str] = []

    def describe_jobs(jobs: list[str]) -> dict[str, Any]:
        return {"jobs": [children[job] for job in jobs]}

    def write(child: int, line: str) -> None:
        events: Any = [{"timestamp": round(time.time() * 1000), "message": line}]
        stack.logs.put_log_events(logGroupName="/jobs", logStreamName=f"s{child}", logEvents=events)

    def get_log_events(**request: Any) -> Any:
        asked.append(request["logStreamName"])
        return pages(**request)

    def watch(*_: Any) -> Iterator[Moment]:
        parent: Any = {"j1": {"jobId": "j1", "status": "PENDING", "arrayProperties": {"size": 2}}}
        jobs = [Job("merge", "j1", 1)]
        for index in range(2):
            stack.logs.create_log_stream(logGroupName="/jobs", logStreamName=f"s{index}")
            children[f"j1:{index}"]["container"] = {"logStreamName": f"s{index}"}
        write(1, "one")
        yield Moment("RUNNING", 1.0, jobs, parent, [])
        write(0, "two")
        children["j1:1"]["status"] = "SUCCEEDED"
        yield Moment("RUNNING", 2.0, jobs, parent, [])
        asked.clear()
        yield Moment("RUNNING", 3.0, jobs, parent, [])
        assert set(asked) == {"s0"}, "a child that has ended is not asked again and again"
        write(1, "late")
        yield Moment("SUCCEEDED", 4.0, jobs, parent, [])

    pages = stack.logs.get_log_events
    monkeypatch.setattr(stack.batch, "describe_jobs", describe_jobs)
    monkeypatch.setattr(stack.logs, "get_log_events", get_log_events)
    monkeypatch.setattr(logs_module, "watch", watch)
    logs_module.follow_logs(stack, {**ROW, "execution": cli_aws.EXECUTION}, None, raw=False)
    expected = ["== merge (j1:1)", "one", "== merge (j1:0)", "two", "== merge (j1:1)", "late"]
    assert capsys.readouterr().out.splitlines() == expected


def test_json_lines_are_unchanged_on_request(logs: Logs) -> None:
    assert logs([json.dumps(LINE)], "call", "--json") == ["== call (j7)", json.dumps(LINE)]


def test_a_log_of_several_pages_is_printed_completely(
    stack: Stack, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.logs, "get_log_events", partial(stack.logs.get_log_events, limit=2))
    lines = [f"line {number}" for number in range(5)]
    assert logs(lines)[1:] == lines


def test_a_missing_log_stream_is_reported(stack: Stack, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack.logs, "create_log_stream", lambda **_: None)
    assert logs([]) == ["== call (j7)", "(no log: its stream does not exist, or not yet)"]


def test_a_job_that_batch_has_deleted_has_no_log(stack: Stack) -> None:
    code, output = cli_aws.seqdrop("logs", cli_aws.RUN)
    assert (code, output.splitlines()[1]) == (0, "(no log: the job never ran, or Batch has deleted it)")


def test_each_job_is_named_once_by_the_receipts_of_its_children_or_of_its_steps(stack: Stack) -> None:
    folder = f"S1/{cli_aws.RUN}/jobs"
    for name, job in (("align", "j7"), ("merge.0", "j8:0"), ("merge.1", "j8:1")):
        cli_aws.write_json(stack, "results", f"{folder}/{name}.json", {"job_id": job})
    stack.s3.put_object(Bucket="results", Key=f"{folder}/merge.0.bcf", Body=b"BCF\x02\xff")
    code, output = cli_aws.seqdrop("logs", cli_aws.RUN)
    headings = {line for line in output.splitlines() if line.startswith("==")}
    assert (code, headings) == (0, {"== fused (j7)", "== merge (j8:0)", "== merge (j8:1)"})


def test_the_steps_are_those_of_the_plan_of_the_run(stack: Stack) -> None:
    """An older plan may have a step that no longer exists, and lack a step that was added."""
    cli_aws.end_execution(stack, cli_aws.RUN, {"steps": ["align", "polish"]})
    assert cli_aws.seqdrop("logs", cli_aws.RUN, "collect") == (
        1,
        "No step collect in this run; its steps are align, polish.\n",
    )
    code, output = cli_aws.seqdrop("logs", cli_aws.RUN, "polish")
    assert (code, output) == (1, f"Run {cli_aws.RUN} has no job polish yet, or its jobs were deleted.\n")


def test_without_a_plan_the_steps_are_those_of_the_table(stack: Stack) -> None:
    code, output = cli_aws.seqdrop("logs", cli_aws.RUN, "sort")
    assert code == 1
    assert "No step sort in this run; its steps are align, call, annotate, collect, compose" in output
