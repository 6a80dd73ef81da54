"""Plant faults: read tables of one-line changes and apply them to parsed documents."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from embedded_aws.template import parse as parse_yaml

FOLDER = Path(__file__).parent / "planted_faults"
CHANGES = ("set", "remove", "add", "replace")


def load_faults(name: str) -> list[dict[str, Any]]:
    """Return the faults of one table."""
    faults: list[dict[str, Any]] = parse_yaml((FOLDER / f"{name}.yaml").read_text())
    return faults


def plant(document: dict[str, Any], fault: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the document with the fault; fail if the fault changes nothing.

    What the fault does not change is in both documents.
    """
    changed = copy.copy(document)
    *path, last = fault["at"]
    parent: Any = changed
    for step in path:
        key = find_key(parent, step, fault)
        parent[key] = copy.copy(parent[key])
        parent = parent[key]
    [change] = [change for change in CHANGES if change in fault]
    if change == "add" and last not in parent:
        parent[last] = fault["add"]
        return changed
    key = find_key(parent, last, fault)
    if change == "add":
        assert isinstance(parent[key], list), f"{fault['name']}: {last} exists already; change this fault"
        parent[key] = [*parent[key], fault["add"]]
    elif change == "remove":
        del parent[key]
    elif change == "set":
        assert parent[key] != fault["set"], f"{fault['name']}: {last} has that value already; change this fault"
        parent[key] = fault["set"]
    else:
        parent[key] = replace_text(parent[key], *fault["replace"], fault["name"])
    return changed


def find_key(parent: Any, step: Any, fault: dict[str, Any]) -> Any:
    """Return the key or index that one step of a fault's path stands for."""
    if isinstance(step, str) and step.startswith("AWS::"):
        keys = [name for name, resource in parent.items() if resource.get("Type") == step]
    elif isinstance(step, dict):
        keys = [number for number, item in enumerate(parent) if isinstance(item, dict) and contains(item, step)]
    else:
        exists = step in parent if isinstance(parent, dict) else step < len(parent)
        keys = [step] if exists else []
    assert keys, f"{fault['name']}: {step} of {fault['at']} does not exist; change this fault"
    return keys[0]


def contains(item: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Return whether each expected value is that of the item, or is in the list of the item."""
    return all(
        item.get(key) == value or (isinstance(item.get(key), list) and value in item[key])
        for key, value in expected.items()
    )


def replace_text(text: str, old: str, new: str, name: str) -> str:
    """Return the text with a replacement; fail if there is nothing to replace."""
    assert old in text, f"{name}: {old!r} does not occur; change this fault"
    return text.replace(old, new)
