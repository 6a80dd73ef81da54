"""The input of a target: Input, InputPath, InputTransformer."""

import json
import re
from typing import Any

PLACEHOLDER = re.compile(r'"<([\w.-]+)>"|<([\w.-]+)>')


def target_input(target: dict[str, Any], event: dict[str, Any]) -> Any:
    """Return the part of the event, or the text, that the target receives."""
    if "Input" in target:
        return json.loads(target["Input"])
    if "InputPath" in target:
        return _at(target["InputPath"], event)
    if "InputTransformer" in target:
        return _transform(target["InputTransformer"], event)
    return event


def _transform(transformer: dict[str, Any], event: dict[str, Any]) -> Any:
    template = transformer["InputTemplate"].strip()
    values = {name: _at(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    if template.startswith(("{", "[")):
        return json.loads(PLACEHOLDER.sub(lambda match: json.dumps(values.get(match[1] or match[2])), template))
    return re.sub(r"<([\w.-]+)>", lambda match: _text(values.get(match[1])), template.strip('"'))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _at(path: str, event: Any) -> Any:
    """Return the value at a path of names and indexes, or None if it does not exist."""
    for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", path):
        try:
            event = event[int(index)] if index else event[name]
        except (KeyError, IndexError, TypeError):
            return None
    return event
