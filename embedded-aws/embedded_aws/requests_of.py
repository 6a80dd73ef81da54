"""From CloudFormation properties to an API request, by botocore's model of the operation.

Names are matched without regard to the case of their first letter, texts become the numbers and booleans the API wants,
and what only CloudFormation knows is dropped.
"""

import json
from functools import cache
from typing import Any

import botocore.session


def request(service: str, operation: str, properties: dict[str, Any]) -> dict[str, Any]:
    shape = _model(service).operation_model(operation).input_shape
    converted: dict[str, Any] = _convert(shape, properties)
    return converted


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _convert(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, dict):
        return _structure(shape, value)
    if shape.type_name == "list" and isinstance(value, list):
        return [_convert(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _convert(shape.value, item) for key, item in value.items()}
    return _scalar(shape.type_name, value)


def _structure(shape: Any, value: dict[str, Any]) -> dict[str, Any]:
    known = {name.lower()[:1] + name[1:]: name for name in shape.members}
    found = {}
    for key, item in value.items():
        if name := known.get(key.lower()[:1] + key[1:]):
            found[name] = _convert(shape.members[name], item)
    return found


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
