"""`seqdrop resume`: its output for each answer of start_run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.errors import CliError
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from support import cli_aws

ROW = {"run": cli_aws.RUN, "sample": "S1", "status": "FAILED"}


class StartRun:
    """The function start_run with one answer; without an outcome it fails."""

    def __init__(self, **outcome: str) -> None:
        self.outcome, self.request = outcome, dict[str, str]()

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803  names in boto3
        self.request = json.loads(Payload)
        assert (FunctionName, self.request["resume"]) == ("start_run", cli_aws.RUN)
        if not self.outcome:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "1 of 1"}')}
        answer = {"outcomes": [{"run": cli_aws.RUN, **self.outcome}]}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class Interrupted:
    """A function during whose call the user presses Ctrl-C."""

    def invoke(self, **_: str) -> dict[str, Any]:
        raise KeyboardInterrupt


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("function", "code", "message"),
    [
        (
            StartRun(outcome="refused", reason="it is still running"),
            1,
            f"Run {cli_aws.RUN} cannot be resumed: it is still running.",
        ),
        (
            StartRun(),
            1,
            f"Run {cli_aws.RUN} could not be resumed: see the log of the function start_run, then try again.",
        ),
        (
            Interrupted(),
            130,
            f"Interrupted: `seqdrop status {cli_aws.RUN} --stack seqdrop` shows whether the run was resumed.",
        ),
    ],
    ids=["refused", "failed", "interrupted"],
)
def test_a_run_that_is_not_resumed_is_one_sentence(stack: Stack, function: Any, code: int, message: str) -> None:
    vars(stack)["functions"] = function
    with pytest.raises(CliError) as raised:
        resume(stack, ROW)
    assert (raised.value.code, str(raised.value)) == (code, message)


def test_a_detached_command_does_not_follow_the_run(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    vars(stack)["functions"] = StartRun(outcome="resumed", execution=f"{cli_aws.EXECUTION}-2")
    resume(stack, ROW, detach=True)
    assert capsys.readouterr().out.splitlines() == [
        f"Run {cli_aws.RUN} of S1 is resumed; steps that are done are not repeated.",
        f"`seqdrop status {cli_aws.RUN} --stack seqdrop` shows it.",
    ]


def test_a_refused_run_that_starts_under_another_id_is_shown_under_that(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    vars(stack)["functions"] = StartRun(outcome="resumed", run="ffff", execution="arn")
    resume(stack, ROW, detach=True)
    assert capsys.readouterr().out.splitlines() == [
        f"Run {cli_aws.RUN} is started as run ffff: what it reads has changed since it was refused.",
        "Run ffff of S1 is resumed; steps that are done are not repeated.",
        "`seqdrop status ffff --stack seqdrop` shows it.",
    ]


def test_the_new_execution_is_followed_to_its_end_and_its_results_are_downloaded(
    stack: Stack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stack.s3.put_object(Bucket="results", Key=f"S1/{cli_aws.RUN}/S1.bam", Body=b"BAM")
    execution = cli_aws.end_execution(stack, f"{cli_aws.RUN}-2", {})
    stack.table.put_item(Item={**ROW, "status": "SUCCEEDED", "results": cli_aws.RESULTS})
    vars(stack)["functions"] = StartRun(outcome="resumed", execution=execution)
    resume(stack, ROW, results=tmp_path)
    folder = tmp_path / "S1" / cli_aws.RUN
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"Run {cli_aws.RUN} succeeded: {cli_aws.RESULTS}",
        f"Run {cli_aws.RUN} of S1: 1 files in {folder}",
    ]
    assert (folder / "S1.bam").read_bytes() == b"BAM"
