"""Start a plan as an execution of the state machine, and start it again to resume a run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from seqdrop import aws
from seqdrop.plan.names import canonical, is_readable
from seqdrop.runs import budget, table

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

RESUMED_SUFFIX = re.compile(r"-([1-9]\d{0,3})")  # after the run id, in the name of an execution that resumed it


Renew = Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]]  # plan, row of the run -> its next plan


class NotResumableError(Exception):
    """The run cannot be resumed; the message says why."""


@cache
def client() -> SFNClient:
    """Return the Step Functions client of this process."""
    return aws.client("stepfunctions")


def arn(name: str, state_machine: str = "") -> str:
    """Return the ARN of the execution with this name, by default of the pipeline of this deployment."""
    machine = ":".join((state_machine or os.environ["STATE_MACHINE"]).split(":")[:7])  # without the alias
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def sibling(execution: str, name: str) -> str:
    """Return the ARN of another execution of the same state machine."""
    return f"{execution.rpartition(':')[0]}:{name}"


def start(execution: str, plan: Mapping[str, Any]) -> bool:
    """Start an execution. Return False if it has ended before; a running one counts as started now."""
    name = execution.rpartition(":")[2]
    machines = (os.environ["STATE_MACHINE"], os.environ["JOINT_STATE_MACHINE"])
    machine = next(machine for machine in machines if arn(name, machine) == execution)
    try:
        client().start_execution(stateMachineArn=machine, name=name, input=canonical(plan))
    except client().exceptions.ExecutionAlreadyExists:
        return False
    return True


def describe(execution: str, states: SFNClient | None = None) -> Mapping[str, Any] | None:
    """Return the description of an execution; None if it never began or ended more than 90 days ago."""
    states = states or client()
    try:
        return states.describe_execution(executionArn=execution)
    except states.exceptions.ExecutionDoesNotExist:
        return None


def stop(execution: str, cause: str, error: str = "STOPPED") -> bool:
    """Stop an execution and its jobs; return False if it does not exist or has ended."""
    if (describe(execution) or {}).get("status") != "RUNNING":
        return False
    client().stop_execution(executionArn=execution, error=error, cause=cause)
    return True


def resume(run: str, renew: Renew, max_cost: str = "") -> str:
    """Start the renewed plan of an ended run under the next name; return the ARN. Raises NotResumableError.

    The row is reopened first, so that of two callers one wins. After a crash in between, resuming again starts the
    execution. `max_cost` is a new budget in USD, which must be more than the run has cost; "" keeps the present one.
    """
    row = table.get(run)
    if row is None:
        raise NotResumableError("it does not exist")
    if "restarted" in row:
        raise NotResumableError(f"it was started as run {row['restarted']}")
    if "execution" not in row:
        what = "the samplesheet" if "sheet" in row else "the reads"
        raise NotResumableError(f"it was never started: correct what its message says, then upload {what} again")
    if row["status"] == "SUCCEEDED":
        raise NotResumableError("it succeeded: there is nothing left to do")
    last = describe(str(row["execution"]))
    if last and last["status"] == "RUNNING":  # the row may say otherwise
        raise NotResumableError("it is still running")
    plan = renew(_last_plan(last or describe(sibling(str(row["execution"]), run))), row)
    _check_budget({**row, "max_cost": max_cost} if max_cost else row)
    execution = _reopen(run, row, last)
    if max_cost:
        table.set_budget(run, max_cost)
    start(execution, plan)
    return execution


def _last_plan(execution: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the plan of an execution; raise NotResumableError if it is gone or cannot be read."""
    if execution is None:
        raise NotResumableError("its plan was deleted 90 days after its end: upload the reads again")
    plan: dict[str, Any] = json.loads(execution["input"])
    if not is_readable(plan.get("version")):
        raise NotResumableError("its plan is from another version of seqdrop: upload the reads again")
    return plan


def _check_budget(row: Mapping[str, Any]) -> None:
    """Raise NotResumableError if the run has cost its budget: it would be stopped at once."""
    spent, limit = float(row.get("cost", 0)), budget.limit(row)
    if limit and spent >= limit:
        advice = "give it a higher one with --max-cost"
        if limit == budget.of_deployment():
            advice = "this is the limit of the stack, whose owner can raise MaxRunCost"
        raise NotResumableError(f"{budget.describe(spent, limit)}: {advice}")


def _reopen(run: str, row: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
    """Return the ARN of the next execution after writing it into the row."""
    if row["status"] == table.RUNNING:
        return _renew(row, last)
    earlier = RESUMED_SUFFIX.fullmatch(str(row["execution"]).rpartition(":")[2].removeprefix(run))
    execution = sibling(str(row["execution"]), f"{run}-{int(earlier[1]) + 1 if earlier else 2}")
    if not table.reopen(run, row, execution):
        raise NotResumableError("another caller has just resumed it")
    return execution


def _renew(row: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
    """Return the ARN in a reopened row whose execution did not begin because of a crash."""
    if last:
        raise NotResumableError("it has just ended and is not recorded yet: try again in a minute")
    if not table.renew_resumed(row):
        raise NotResumableError("its row has just changed: try again")
    return str(row["execution"])
