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
from boto3.dynamodb.conditions import Key

from seqdrop.failure import advice
from seqdrop.s3 import RETRIES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_sns import SNSClient

RUNNING, WAITING = "RUNNING", "WAITING"
WAITS_FOR = 14 * 24 * 3600  # seconds; then a lone mate was most likely deleted, and its row goes too
Row = dict[str, Any]


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
    """Write a row for reads that started nothing, and why. True if it was not there before."""
    moment = now()
    ending = {"class": failure_class, "message": message, "advice": advice(failure_class)}
    refused = {**row, "status": "FAILED", "started": moment, "finished": moment, **ending}
    return _put(refused, "attribute_not_exists(#run)")


def finish(run: str, ending: Mapping[str, Any]) -> bool:
    """Close a row once: status, finished and what else there is to say. True for the one caller that closed it."""
    names = {f"#{name}": name for name in (*ending, "status", "run")}
    values = {f":{name}": value for name, value in ending.items()}
    try:
        table().update_item(
            Key={"run": run},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in ending),
            ConditionExpression="attribute_exists(#run) AND #status = :running",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={**values, ":running": RUNNING},
        )
    except table().meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def with_status(status: str) -> Iterator[Row]:
    """Every row of a status: what seems to run, what still waits."""
    query: dict[str, Any] = {"IndexName": "by_status", "KeyConditionExpression": Key("status").eq(status)}
    while True:
        page = table().query(**query)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def remember_waiting(bucket: str, mates: Sequence[str], sample: str) -> None:
    """A row for a mate that is alone; since when stays, however often it is told."""
    message = f"waits until both are there: {' and '.join(mates)}"
    row = {"run": _waiting_name(bucket, mates), "sample": sample, "status": WAITING, "message": message}
    expires = int(time.time()) + WAITS_FOR
    _put({**row, "started": now(), "expires": expires}, "attribute_not_exists(#run)")


def forget_waiting(bucket: str, mates: Sequence[str]) -> None:
    table().delete_item(Key={"run": _waiting_name(bucket, mates)})


def _waiting_name(bucket: str, mates: Sequence[str]) -> str:
    return "waiting-" + hashlib.sha256("\n".join((bucket, *mates)).encode()).hexdigest()[:12]


def tell(subject: str, lines: list[str]) -> None:
    """A message a person understands; the sample stays out of the subject, which mail systems log."""
    sns().publish(TopicArn=os.environ["RUN_TOPIC"], Subject=subject, Message="\n".join(lines))


def _put(row: Mapping[str, Any], condition: str) -> bool:
    try:
        table().put_item(Item=dict(row), ConditionExpression=condition, ExpressionAttributeNames={"#run": "run"})
    except table().meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True
