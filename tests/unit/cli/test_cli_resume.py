"""`seqdrop resume`: what start_run answers, as a person reads it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from seqdrop_cli import resume
from seqdrop_cli.problem import Problem
from seqdrop_cli.stack import Stack
from support import cli_aws

EXECUTION = f"{cli_aws.MACHINE.replace(':stateMachine:', ':execution:')}:{cli_aws.RUN}-2"
ROW = {"run": cli_aws.RUN, "sample": "S1", "status": "FAILED"}


class StartRun:
    """The function, as far as it is asked to resume."""

    def __init__(self, **outcome: str) -> None:
        self.outcome = outcome

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803  boto3's names
        assert (FunctionName, json.loads(Payload)) == ("start_run", {"resume": cli_aws.RUN})
        if not self.outcome:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "1 of 1"}')}
        answer = {"outcomes": [{"run": cli_aws.RUN, **self.outcome}]}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as made:
        yield Stack(made.name, {**made.outputs, "StartRunFunction": "start_run"}, made.session)


def test_a_refusal_is_a_sentence(stack: Stack) -> None:
    vars(stack)["functions"] = StartRun(outcome="refused", reason="it is still running")
    with pytest.raises(Problem) as raised:
        resume.resume(stack, ROW)
    assert str(raised.value) == f"Run {cli_aws.RUN} cannot be resumed: it is still running."


def test_a_function_that_fails_is_a_sentence(stack: Stack) -> None:
    vars(stack)["functions"] = StartRun()
    with pytest.raises(Problem, match=r"could not be resumed; the log of the start_run function says why"):
        resume.resume(stack, ROW)


def test_who_interrupts_the_question_is_told_where_to_see_the_answer(stack: Stack) -> None:
    class Slow:
        def invoke(self, **_: str) -> dict[str, Any]:
            raise KeyboardInterrupt

    vars(stack)["functions"] = Slow()
    with pytest.raises(Problem, match=f"`seqdrop status {cli_aws.RUN}.*` says whether it goes on") as raised:
        resume.resume(stack, ROW)
    assert raised.value.code == 130


def test_detached_it_follows_nothing(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    vars(stack)["functions"] = StartRun(outcome="resumed", execution=EXECUTION)
    resume.resume(stack, ROW, detach=True)
    assert capsys.readouterr().out.splitlines() == [
        f"Run {cli_aws.RUN} of S1 goes on; steps that are done end at once.",
        f"`seqdrop status {cli_aws.RUN} --stack seqdrop` shows it.",
    ]


def test_it_follows_the_new_execution_to_its_end(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """moto ends an execution of nothing at once; the row is closed as record_run does."""
    states = stack.stepfunctions
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    role = "arn:aws:iam::123456789012:role/x"
    machine = states.create_state_machine(name="pipeline", definition=definition, roleArn=role)
    started = states.start_execution(stateMachineArn=machine["stateMachineArn"], name=f"{cli_aws.RUN}-2")
    states.stop_execution(executionArn=started["executionArn"])
    stack.table.put_item(Item={**ROW, "status": "SUCCEEDED", "results": cli_aws.RESULTS})
    vars(stack)["functions"] = StartRun(outcome="resumed", execution=started["executionArn"])
    resume.resume(stack, ROW)
    assert capsys.readouterr().out.splitlines()[-1] == f"Run {cli_aws.RUN} succeeded: {cli_aws.RESULTS}"
