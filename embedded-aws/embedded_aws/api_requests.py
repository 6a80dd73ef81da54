"""Convert CloudFormation properties to an API request, with botocore's model of the operation.

The case of the first letter of a name does not count. Strings become the numbers and booleans that the API expects.
Properties that only CloudFormation has are dropped.
"""

import json
from typing import Any

from . import aws


def request(service: str, operation: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the operation."""
    shape = aws.service_model(service).operation_model(operation).input_shape
    converted: dict[str, Any] = _convert(shape, properties)
    return converted


def _convert(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, dict):
        return _structure(shape, value)
    if shape.type_name == "list" and isinstance(value, list):
        return [_convert(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _convert(shape.value, item) for key, item in value.items()}
    return _scalar(shape.type_name, value)


def _structure(shape: Any, properties: dict[str, Any]) -> dict[str, Any]:
    members = {_lower_first(name): name for name in shape.members}
    converted = {}
    for key, value in properties.items():
        if name := members.get(_lower_first(key)):
            converted[name] = _convert(shape.members[name], value)
    return converted


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _scalar(kind: str, value: Any) -> Any:
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind == "string" and not isinstance(value, str):
        return json.dumps(value)
    return value
