"""The run table: one row a run, written so that every writer may come twice and in any order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
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

RUNNING = "RUNNING"
Row = dict[str, Any]


@cache
def table() -> Table:
    return boto3.resource("dynamodb", config=RETRIES).Table(os.environ["RUN_TABLE"])


@cache
def sns() -> SNSClient:
    return boto3.client("sns", config=RETRIES)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def get(run: str) -> Row | None:
    return table().get_item(Key={"run": run}, ConsistentRead=True).get("Item")


def begin(row: Mapping[str, Any]) -> bool:
    """Write the row of a run that was started, unless it is there; a refusal of it gives way. True if written."""
    return _put(
        {**row, "status": RUNNING, "started": now()}, "attribute_not_exists(#run) OR attribute_not_exists(execution)"
    )


def refuse(row: Mapping[str, Any], failure_class: str, message: str) -> bool:
    """Write a row for reads that started nothing, and why. True if it was not there before."""
    time = now()
    ending = {"class": failure_class, "message": message, "advice": advice(failure_class)}
    return _put({**row, "status": "FAILED", "started": time, "finished": time, **ending}, "attribute_not_exists(#run)")


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


def running() -> Iterator[Row]:
    """Every row that says its run is not over."""
    query: dict[str, Any] = {"IndexName": "by_status", "KeyConditionExpression": Key("status").eq(RUNNING)}
    while True:
        page = table().query(**query)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def tell(subject: str, lines: list[str]) -> None:
    """A message a person understands; the sample stays out of the subject, which mail systems log."""
    sns().publish(TopicArn=os.environ["RUN_TOPIC"], Subject=subject, Message="\n".join(lines))


def _put(row: Mapping[str, Any], condition: str) -> bool:
    try:
        table().put_item(Item=dict(row), ConditionExpression=condition, ExpressionAttributeNames={"#run": "run"})
    except table().meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True
