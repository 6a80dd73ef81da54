"""What a target receives of an event: Input, InputPath, InputTransformer."""

import json
import re
from typing import Any

PLACEHOLDER = re.compile(r'"<([\w.-]+)>"|<([\w.-]+)>')


def target_input(target: dict[str, Any], event: dict[str, Any]) -> Any:
    if "Input" in target:
        return json.loads(target["Input"])
    if "InputPath" in target:
        return _at(target["InputPath"], event)
    if "InputTransformer" in target:
        return _transformed(target["InputTransformer"], event)
    return event


def _transformed(transformer: dict[str, Any], event: dict[str, Any]) -> Any:
    template = transformer["InputTemplate"].strip()
    values = {name: _at(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    if template.startswith(("{", "[")):
        return json.loads(PLACEHOLDER.sub(lambda hit: json.dumps(values.get(hit[1] or hit[2])), template))
    return re.sub(r"<([\w.-]+)>", lambda hit: _plain(values.get(hit[1])), template.strip('"'))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _at(path: str, event: Any) -> Any:
    """The paths EventBridge knows: names and indexes. What is not there is null."""
    for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", path):
        try:
            event = event[int(index)] if index else event[name]
        except (KeyError, IndexError, TypeError):
            return None
    return event
