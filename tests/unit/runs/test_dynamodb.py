"""seqdrop.runs.dynamodb: values as boto3 stores them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from seqdrop.runs.dynamodb import Table

ROW = {
    "run": "5b0c2f7d9e1a",
    "empty": "",
    "expires": 1_790_000_000,
    "cost": Decimal("0.25"),
    "tried": ["align, try 1: SPOT_RECLAIMED", ""],
    "warnings": [{"step": "collect", "code": "LOW_DEPTH", "more": {"depth": 3}}],
    "complete": True,
    "log": None,
}
STORED = {name: TypeSerializer().serialize(value) for name, value in ROW.items()}


class Client:
    """Keep the request, and answer with one stored row."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> dict[str, Any]:
            self.requests.append({"operation": operation, **request})
            return {"Item": STORED} if operation == "get_item" else {"Items": [STORED], "LastEvaluatedKey": {"run": {}}}

        return call


def table() -> tuple[Table, Client]:
    client = Client()
    fake: Any = client
    return Table(fake, "runs"), client


def test_values_are_stored_as_boto3_stores_them() -> None:
    rows, client = table()
    rows.put_item(Item=ROW, ExpressionAttributeValues={":pair": ("a", 1)}, ConditionExpression="x")
    assert client.requests == [
        {
            "operation": "put_item",
            "TableName": "runs",
            "Item": STORED,
            "ExpressionAttributeValues": {":pair": {"L": [{"S": "a"}, {"N": "1"}]}},
            "ConditionExpression": "x",
        }
    ]


def test_values_are_read_as_boto3_reads_them() -> None:
    rows, _ = table()
    expected = {name: TypeDeserializer().deserialize(value) for name, value in STORED.items()}
    assert rows.get_item(Key={"run": "r"})["Item"] == expected
    assert isinstance(expected["expires"], Decimal)
    assert rows.scan() == {"Items": [expected], "LastEvaluatedKey": {"run": {}}}


@pytest.mark.parametrize("value", [0.5, {"a"}, b"x"])
def test_a_value_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"no {type(value).__name__}"):
        table()[0].put_item(Item={"run": value})
