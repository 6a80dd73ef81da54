"""DynamoDB of the embedded AWS: a query reads the items with its key, and no others."""

from collections.abc import Iterator
from typing import Any

import pytest
from embedded_server import Server

ITEMS = 12


@pytest.fixture(params=["with a range key", "without"])
def table(aws: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    """A table of numbered items in three groups: an index has the items by group, then by place."""
    client, name = aws.client("dynamodb"), f"queries-{request.param.replace(' ', '-')}"
    ranged = request.param == "with a range key"
    texts = ("id", "group", "mate") if ranged else ("id", "group")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            *({"AttributeName": text, "AttributeType": "S"} for text in texts),
            {"AttributeName": "place", "AttributeType": "N"},
            {"AttributeName": "size", "AttributeType": "N"},
        ],
        KeySchema=[_key("id", "HASH"), *([_key("mate", "RANGE")] if ranged else [])],
        GlobalSecondaryIndexes=[
            _index("by_group", _key("group", "HASH"), _key("place", "RANGE")),
            _index("by_size", _key("size", "HASH")),
        ],
    )
    for number in range(ITEMS):
        client.put_item(TableName=name, Item=_item(number))
    yield client, name
    client.delete_table(TableName=name)


def _key(name: str, kind: str) -> dict[str, str]:
    return {"AttributeName": name, "KeyType": kind}


def _index(name: str, *keys: dict[str, str]) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": list(keys), "Projection": {"ProjectionType": "ALL"}}


def _item(number: int) -> dict[str, Any]:
    """Return an item; the last one has no group, so that no index by group has it."""
    group = {"group": {"S": f"g{number % 3}"}} if number < ITEMS - 1 else {}
    size = "1.0" if number == 0 else str(number)
    return {"id": {"S": f"i{number}"}, "mate": {"S": "r1"}, "place": {"N": str(-number)}, "size": {"N": size}, **group}


def query(table: tuple[Any, str], attribute: str, value: dict[str, str], **more: Any) -> list[str]:
    """Return the ids of the items that a query finds, page after page, in their order."""
    pages = (
        table[0]
        .get_paginator("query")
        .paginate(
            TableName=table[1],
            KeyConditionExpression="#name = :value",
            ExpressionAttributeNames={"#name": attribute},
            ExpressionAttributeValues={":value": value},
            **more,
        )
    )
    return [item["id"]["S"] for page in pages for item in page["Items"]]


def test_a_query_finds_the_item_of_its_key_alone(table: tuple[Any, str]) -> None:
    assert query(table, "id", {"S": "i7"}) == ["i7"]
    assert query(table, "id", {"S": "i77"}) == []


@pytest.mark.parametrize("page", [{}, {"Limit": 2}])
def test_a_query_of_an_index_sorts_the_items_of_its_key(table: tuple[Any, str], page: dict[str, int]) -> None:
    assert query(table, "group", {"S": "g1"}, IndexName="by_group", **page) == ["i10", "i7", "i4", "i1"]
    assert query(table, "group", {"S": "g2"}, IndexName="by_group", **page) == ["i8", "i5", "i2"]
    assert query(table, "group", {"S": "g3"}, IndexName="by_group", **page) == []


def test_a_query_of_an_index_compares_numbers_by_their_value(table: tuple[Any, str]) -> None:
    assert set(query(table, "size", {"N": "1"}, IndexName="by_size")) == {"i0", "i1"}
