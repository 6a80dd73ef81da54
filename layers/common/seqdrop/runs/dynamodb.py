"""Read and write the items of a DynamoDB table as Python values."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENCODED = ("Key", "Item", "ExpressionAttributeValues")  # parts of a request that have values
Answer = dict[str, Any]


class Table:
    """A table whose values are texts, numbers, booleans, None, lists and mappings.

    The methods are those of the Table of boto3. Numbers of an answer are Decimal. A value of another type in a request
    raises TypeError.
    """

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        """Use a table through a client."""
        self.client, self.name = client, name

    def get_item(self, **request: Any) -> Answer:
        """Return the answer to GetItem."""
        return self._call("get_item", request)

    def put_item(self, **request: Any) -> Answer:
        """Return the answer to PutItem."""
        return self._call("put_item", request)

    def update_item(self, **request: Any) -> Answer:
        """Return the answer to UpdateItem."""
        return self._call("update_item", request)

    def delete_item(self, **request: Any) -> Answer:
        """Return the answer to DeleteItem."""
        return self._call("delete_item", request)

    def query(self, **request: Any) -> Answer:
        """Return the answer to Query."""
        return self._call("query", request)

    def scan(self, **request: Any) -> Answer:
        """Return the answer to Scan."""
        return self._call("scan", request)

    def _call(self, operation: str, request: Mapping[str, Any]) -> Answer:
        encoded = {name: _encode_all(part) if name in ENCODED else part for name, part in request.items()}
        answer: Answer = getattr(self.client, operation)(TableName=self.name, **encoded)
        if "Item" in answer:
            answer["Item"] = _decode_all(answer["Item"])
        if "Items" in answer:
            answer["Items"] = [_decode_all(item) for item in answer["Items"]]
        return answer


def _encode_all(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _encode(value) for name, value in values.items()}


def _encode(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case Mapping():
            return {"M": _encode_all(value)}
        case list() | tuple():
            return {"L": [_encode(item) for item in value]}
    raise TypeError(f"DynamoDB stores no {type(value).__name__} here")


def _decode_all(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _decode(value) for name, value in values.items()}


def _decode(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S":
            return content
        case "N":
            return Decimal(content)
        case "M":
            return _decode_all(content)
        case "L":
            return [_decode(item) for item in content]
    raise TypeError(f"no row has a value of the type {kind}")
