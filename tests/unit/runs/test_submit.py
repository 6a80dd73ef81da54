"""seqdrop.runs.submit: what a row says about the executions of its run."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from seqdrop.failure.verdict import BadInputError
from seqdrop.plan.choices import Choices
from seqdrop.runs import executions, submit, table
from support.function_aws import MACHINE, RESULTS, Deployed, fail_next_call

RUN = "ade90e2c5ca56f3870e3"
FIRST = MACHINE.replace(":stateMachine:", ":execution:") + f":{RUN}"


@pytest.fixture
def rows(aws: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """The empty run table."""
    aws.load("start_run")
    return aws


@pytest.mark.parametrize(("status", "execution", "ended"), [
    (table.RUNNING, FIRST, False),
    (table.RUNNING, f"{FIRST}-2", True),  # it is resumed
    ("SUCCEEDED", FIRST, True),
    ("FAILED", f"{FIRST}-2", True),
])  # fmt: skip
def test_the_first_execution_of_a_run_has_ended_or_not(
    rows: Deployed, status: str, execution: str, ended: bool
) -> None:
    table.create({"run": RUN, "sample": "NA12878", "execution": execution, "results": f"s3://{RESULTS}/r"})
    if status != table.RUNNING:
        assert table.close(RUN, execution, {"status": status, "finished": table.now()})
    assert submit.has_ended(RUN) is ended
    assert executions.arn(RUN) == FIRST


def test_a_run_without_an_execution_has_not_ended(rows: Deployed) -> None:
    assert not submit.has_ended(RUN)
    assert table.create_refused({"run": RUN, "sample": "NA12878"}, "BAD_INPUT.EMPTY", "no reads")
    assert not submit.has_ended(RUN)


def test_a_refusal_whose_message_was_not_sent_is_sent_by_the_next_caller(rows: Deployed) -> None:
    error = BadInputError("EMPTY", "the files contain no reads")
    with fail_next_call("sns.Publish", "no answer"), pytest.raises(ClientError, match="no answer"):
        submit.refuse("NA12878", RUN, Choices(), error)
    assert rows.messages() == []
    for _ in range(2):
        assert submit.refuse("NA12878", RUN, Choices(), error)["failure_class"] == "BAD_INPUT.EMPTY"
    assert len(rows.messages()) == 1
