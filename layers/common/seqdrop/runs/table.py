"""The run table: one row a run, written so that every writer may come twice and in any order."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.conditions import ConditionBase, Key

from seqdrop.failure import advice
from seqdrop.storage.s3 import RETRIES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_sns import SNSClient

RUNNING, WAITING = "RUNNING", "WAITING"
UNTOLD = "yes"  # in an index that has these rows alone
WAITS_FOR = 14 * 24 * 3600  # seconds; then a lone mate was most likely deleted, and its row goes too
Row = dict[str, Any]
# What a row says of an ending, and no longer once the run goes on.
_SAID_AT_THE_END = ("class", "message", "advice", "step", "finished", "tried", "tool_lines", "log", "cost", "untold")


@cache
def table() -> Table:
    return boto3.resource("dynamodb", config=RETRIES).Table(os.environ["RUN_TABLE"])


@cache
def sns() -> SNSClient:
    return boto3.client("sns", config=RETRIES)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hours_since(moment: str) -> float:
    then = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (datetime.now(UTC) - then).total_seconds() / 3600


def get(run: str) -> Row | None:
    return table().get_item(Key={"run": run}, ConsistentRead=True).get("Item")


def begin(row: Mapping[str, Any]) -> bool:
    """Write the row of a run that was started, unless it is there; a refusal of it gives way. True if written."""
    return _put(
        {**row, "status": RUNNING, "started": now()}, "attribute_not_exists(#run) OR attribute_not_exists(execution)"
    )


def refuse(row: Mapping[str, Any], failure_class: str, message: str) -> bool:
    """Write a row for reads that started nothing, and why. True if nobody has told of it yet."""
    moment = now()
    ending = {"class": failure_class, "message": message, "advice": advice.get(failure_class)}
    refused = {**row, "status": "FAILED", "started": moment, "finished": moment, **ending}
    return _put({**refused, "untold": UNTOLD}, "attribute_not_exists(#run)") or is_untold(str(row["run"]))


def finish(run: str, execution: str, ending: Mapping[str, Any], **was: str) -> bool:
    """Close a row: status, finished and what else there is to say. True for the one caller that closed it.

    Only the execution that the row runs under may: a resumed run is not closed by what its first execution left.
    """
    said, running = {**ending, "untold": UNTOLD}, {"status": RUNNING, "execution": execution, **was}
    return _change(run, "SET " + ", ".join(f"#{name} = :{name}" for name in said), said, running)


def is_untold(run: str, **as_: str) -> bool:
    """Whether a row was closed `as_` it is and its message is still to be sent: whoever comes next sends it."""
    row = get(run) or {}
    return "untold" in row and all(row.get(name) == value for name, value in as_.items())


def reopen(run: str, before: Mapping[str, Any], execution: str) -> bool:
    """Let a run that ended go on under another execution. True for the one caller that did.

    `before` is the row as it was read: another writer in between, and it stays as that one left it.
    """
    again = {"status": RUNNING, "execution": execution, "resumed": now()}
    names = ", ".join(f"#{name} = :{name}" for name in again)
    gone = ", ".join(f"#{name}" for name in _SAID_AT_THE_END)
    was = {"status": before["status"], "execution": before["execution"]}
    return _change(run, f"SET {names} REMOVE {gone}", again, was, _SAID_AT_THE_END)


def reopen_again(row: Mapping[str, Any]) -> bool:
    """Note that the execution a row was reopened for begins after all, or the repair might close the row just then.

    False where the row is not as it was read any more.
    """
    was = {name: str(row[name]) for name in ("status", "execution", "resumed") if name in row}
    return _change(str(row["run"]), "SET #resumed = :resumed", {"resumed": now()}, was)


def with_status(status: str) -> Iterator[Row]:
    """Every row of a status: what seems to run, what still waits."""
    yield from _queried("by_status", Key("status").eq(status))


def untold() -> Iterator[Row]:
    """Every row that was closed, and whose message could not be sent."""
    yield from _queried("by_untold", Key("untold").eq(UNTOLD))


def _queried(index: str, condition: ConditionBase) -> Iterator[Row]:
    query: dict[str, Any] = {"IndexName": index, "KeyConditionExpression": condition}
    while True:
        page = table().query(**query)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def remember_waiting(bucket: str, names: Sequence[str], sample: str, message: str) -> None:
    """A row for a mate that is alone, or for lanes that lack others; since when stays, however often it is told."""
    row = {"run": _waiting_name(bucket, names), "sample": sample, "status": WAITING, "message": message}
    expires = int(time.time()) + WAITS_FOR
    _put({**row, "started": now(), "expires": expires}, "attribute_not_exists(#run)")


def forget_waiting(bucket: str, names: Sequence[str]) -> None:
    table().delete_item(Key={"run": _waiting_name(bucket, names)})


def _waiting_name(bucket: str, names: Sequence[str]) -> str:
    return "waiting-" + hashlib.sha256("\n".join((bucket, *names)).encode()).hexdigest()[:12]


def tell(run: str, subject: str, lines: list[str]) -> None:
    """A message a person understands; the sample stays out of the subject, which mail systems log."""
    sns().publish(TopicArn=os.environ["RUN_TOPIC"], Subject=subject, Message="\n".join(lines))
    table().update_item(Key={"run": run}, UpdateExpression="REMOVE untold")


def _change(
    run: str, expression: str, values: Mapping[str, Any], was: Mapping[str, str], named: Sequence[str] = ()
) -> bool:
    """Change a row while it is what it `was`; False where it is not."""
    names = {f"#{name}": name for name in (*values, *was, *named)}
    given = {f":{name}": value for name, value in values.items()}
    try:
        table().update_item(
            Key={"run": run},
            UpdateExpression=expression,
            ConditionExpression=" AND ".join(f"#{name} = :was_{name}" for name in was),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={**given, **{f":was_{name}": value for name, value in was.items()}},
        )
    except table().meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _put(row: Mapping[str, Any], condition: str) -> bool:
    try:
        table().put_item(Item=dict(row), ConditionExpression=condition, ExpressionAttributeNames={"#run": "run"})
    except table().meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True
