"""Faults to plant: tables of one-line changes, and the hand that makes them on parsed documents."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "planted_faults"
HANDS = ("set", "remove", "add", "replace")


def faults(name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return listed


def planted(document: dict[str, Any], fault: dict[str, Any]) -> dict[str, Any]:
    """A copy with the fault in it; the test fails, saying so, where there is nothing left to weaken."""
    changed = copy.deepcopy(document)
    *way, last = fault["at"]
    place: Any = changed
    for step in way:
        place = place[found(place, step, fault)]
    [hand] = [hand for hand in HANDS if hand in fault]
    if hand == "add" and last not in place:
        place[last] = fault["add"]
        return changed
    key = found(place, last, fault)
    if hand == "add":
        assert isinstance(place[key], list), f"{fault['name']}: {last} is there already; change this fault"
        place[key].append(fault["add"])
    elif hand == "remove":
        del place[key]
    elif hand == "set":
        assert place[key] != fault["set"], f"{fault['name']}: {last} has that value already; change this fault"
        place[key] = fault["set"]
    else:
        place[key] = replaced(place[key], *fault["replace"], fault["name"])
    return changed


def found(place: Any, step: Any, fault: dict[str, Any]) -> Any:
    """The key or index that a step of a fault's path means here."""
    if isinstance(step, str) and step.startswith("AWS::"):
        keys = [name for name, resource in place.items() if resource.get("Type") == step]
    elif isinstance(step, dict):
        keys = [number for number, item in enumerate(place) if isinstance(item, dict) and has(item, step)]
    else:
        keys = [step] if (step in place if isinstance(place, dict) else step < len(place)) else []
    assert keys, f"{fault['name']}: {step} of {fault['at']} is no longer there; change this fault"
    return keys[0]


def has(item: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(item.get(k) == v or (isinstance(item.get(k), list) and v in item[k]) for k, v in wanted.items())


def replaced(text: str, find: str, by: str, name: str) -> str:
    assert find in text, f"{name}: {find!r} no longer occurs; change this fault"
    return text.replace(find, by)
