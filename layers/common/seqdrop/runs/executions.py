"""A plan becomes an execution of the state machine: once, or again after it ended."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from seqdrop.plan import layout
from seqdrop.runs import table
from seqdrop.storage import s3

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

AGAIN = re.compile(r"-([1-9]\d{0,3})")  # what follows the run in the name of an execution that resumed it
Sizes = Mapping[str, Mapping[str, str]]  # step -> vcpus and memory, as Batch takes them


class NotResumableError(Exception):
    """This run cannot be resumed, and why."""


@cache
def client() -> SFNClient:
    return boto3.client("stepfunctions", config=s3.RETRIES)


def arn(name: str) -> str:
    machine = ":".join(os.environ["STATE_MACHINE"].split(":")[:7])  # without the alias
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def start(execution: str, plan: Mapping[str, Any]) -> bool:
    """False if it was there and is over; one that still runs answers as if it were new."""
    machine, name = os.environ["STATE_MACHINE"], execution.rpartition(":")[2]
    try:
        client().start_execution(stateMachineArn=machine, name=name, input=layout.canonical(plan))
    except client().exceptions.ExecutionAlreadyExists:
        return False
    return True


def describe(execution: str) -> Mapping[str, Any] | None:
    """None for one that never was, or is forgotten: Step Functions does so 90 days after the end."""
    try:
        return client().describe_execution(executionArn=execution)
    except client().exceptions.ExecutionDoesNotExist:
        return None


def resume(run: str, sizes: Sizes) -> str:
    """Start the plan of a run once more, under the next name; its ARN. Raises NotResumableError.

    The row is reopened first: whoever comes second sees it, and a crash in between is mended by resuming again.
    """
    row = table.get(run)
    if row is None:
        raise NotResumableError(f"there is no run {run}")
    if "execution" not in row:
        raise NotResumableError("it was never started: mend what it says, then drop the reads again")
    if row["status"] == "SUCCEEDED":
        raise NotResumableError("it succeeded: there is nothing left to do")
    last = describe(str(row["execution"]))
    if last and last["status"] == "RUNNING":  # whatever its row says
        raise NotResumableError("it is still running")
    plan = _plan(last or describe(arn(run)), sizes)
    execution = _reopened(run, row, last)
    start(execution, plan)
    return execution


def _plan(started: Mapping[str, Any] | None, sizes: Sizes) -> dict[str, Any]:
    """As the run was started, with the sizes of today: more memory may be what it needs."""
    if started is None:
        raise NotResumableError("its plan is forgotten, 90 days after its end: drop the reads again")
    plan: dict[str, Any] = json.loads(started["input"])
    return {**plan, **{step: {**plan[step], **sizes[step]} for step in layout.STEPS}}


def _reopened(run: str, row: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
    """The execution that the run goes on under, its row told so."""
    if row["status"] == table.RUNNING:
        return _not_begun(row, last)
    earlier = AGAIN.fullmatch(str(row["execution"]).rpartition(":")[2].removeprefix(run))
    execution = arn(f"{run}-{int(earlier[1]) + 1 if earlier else 2}")
    if not table.reopen(run, row, execution):
        raise NotResumableError("somebody else has just resumed it")
    return execution


def _not_begun(row: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
    """The execution of a row that was reopened when a crash kept the execution from beginning."""
    if last:
        raise NotResumableError("it has just ended and is not recorded yet: try again in a minute")
    if not table.reopen_again(row):
        raise NotResumableError("its row has just changed: try again")
    return str(row["execution"])
