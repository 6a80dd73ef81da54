"""Weaken state machines one place at a time: other values of the same type, removed keys, other targets.

Comments are left alone, and so is the order of keys. `python -m support.machine_weakenings` tries all weakenings and
prints those that neither the gate nor the contract finds:

    PYTHONPATH=.:tests:embedded-aws/tests python -m support.machine_weakenings
"""

from __future__ import annotations

import copy
import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gates import asl
from gates.asl import KEY_ORDER, states
from gates.asl_scope import Scope
from support import machine_contract
from support.pipeline_parts import MACHINES, ROOT, machine, template

TARGETS = ("Next", "Default", "StartAt")
DATA_KEYS = {"InputPath": "$.run", "OutputPath": "$.run", "ResultPath": "$.run", "ResultSelector": {"run.$": "$.run"}}
OF_STATES_WITH_DATA = ("Task", "Parallel", "Pass")
TYPES = ("Task", "Pass", "Choice", "Parallel", "Succeed", "Fail", "Wait")
SUBSTITUTION = re.compile(r"\$\{\w+\}")


@dataclass(frozen=True)
class Weakening:
    """One change to a machine: the place, and its new value; REMOVED removes it."""

    machine: str
    place: tuple[str | int, ...]
    value: Any

    def __str__(self) -> str:
        where = ".".join(str(key) for key in self.place if key not in ("States", "Branches"))
        return f"{self.machine}.{where} {'removed' if self.value is REMOVED else f'= {self.value!r}'}"

    def apply(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of the definition with this change; the keys of a task stay in order."""
        changed = copy.deepcopy(definition)
        *path, last = self.place
        parent: Any = changed
        for key in path:
            parent = parent[key]
        if self.value is REMOVED:
            del parent[last]
        else:
            parent[last] = self.value
        if last in DATA_KEYS and set(parent) <= set(KEY_ORDER):
            ordered = {key: parent[key] for key in KEY_ORDER if key in parent}
            parent.clear()
            parent.update(ordered)
        return changed


REMOVED = object()


def weakenings(name: str, definition: dict[str, Any], words: list[str]) -> Iterator[Weakening]:
    """Yield every weakening of a machine; `words` are those of its input."""
    values = Values.of(definition, words)
    for place, value in walk(definition):
        for other in values.instead_of(place, value):
            yield Weakening(name, place, other)
    for place, scope in places_of_scopes(definition):
        for state_name, state in scope["States"].items():
            if state["Type"] in OF_STATES_WITH_DATA:
                for key, added in DATA_KEYS.items():
                    if key not in state:
                        yield Weakening(name, (*place, "States", state_name, key), added)


def walk(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every place below a value, with what is there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key != "Comment":
            yield (*place, key), inner
            yield from walk(inner, (*place, key))


def places_of_scopes(definition: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Yield the machine and each branch with its place."""
    yield (), definition
    for place, value in walk(definition):
        if place[-1:] != ("Branches",) and isinstance(value, dict) and "StartAt" in value:
            yield place, value


@dataclass(frozen=True)
class Values:
    """The values that a machine has, from which those of the same type are taken."""

    paths: list[str]
    substitutions: list[str]
    texts: dict[str, list[str]]  # key -> literals
    targets: list[list[str]]  # the states of each scope

    @classmethod
    def of(cls, definition: dict[str, Any], words: list[str]) -> Values:
        """Collect the values of a machine and the words of its input."""
        found = [(place, value) for place, value in walk(definition) if isinstance(value, str)]
        texts: dict[str, list[str]] = {}
        for place, value in found:
            texts.setdefault(key_of(place), []).append(value)
        paths = [value for _, value in found if value.startswith("$") and not SUBSTITUTION.match(value)]
        return cls(
            sorted({*paths, *(f"$.{word}" for word in words), "$$.Execution.Name"}),
            sorted({value for _, value in found if SUBSTITUTION.fullmatch(value)}),
            {key: sorted(set(values)) for key, values in texts.items()},
            [list(scope.states) for scope in Scope.read(definition)],
        )

    def instead_of(self, place: tuple[str | int, ...], value: Any) -> Iterator[Any]:
        """Yield the other values of the same type, then REMOVED."""
        key = key_of(place)
        if isinstance(value, bool):
            yield not value
        elif isinstance(value, int | float):
            yield from (value * 10, value // 10)
        elif value is None:
            yield "$.run"
        elif isinstance(value, str):
            yield from (other for other in self.texts_instead_of(key, value) if other != value)
        if place and place[-2:-1] != ("States",) and key not in ("States", "Type"):
            yield REMOVED

    def texts_instead_of(self, key: str, value: str) -> list[str]:
        """Return the texts of the same type."""
        if key in TARGETS:
            return next(names for names in self.targets if value in names)
        if key == "Type" and value in TYPES:
            return list(TYPES)
        if SUBSTITUTION.fullmatch(value):
            return self.substitutions
        if value.startswith("$"):
            return self.paths
        return [*self.texts[key], "other", "1"]


def key_of(place: tuple[str | int, ...]) -> str:
    """Return the key of a place; of an item of a list, that of the list."""
    return next(key for key in reversed(place) if isinstance(key, str))


def without_error(definition: dict[str, Any], error: str) -> dict[str, Any]:
    """Return a copy of a definition in which no state retries an error."""
    changed = copy.deepcopy(definition)
    for _, state in states(changed):
        for retrier in state.get("Retry", []):
            retrier["ErrorEquals"] = [name for name in retrier["ErrorEquals"] if name != error]
        if "Retry" in state:
            state["Retry"] = [retrier for retrier in state["Retry"] if retrier["ErrorEquals"]]
    return changed


def survivors(name: str, count: int = 0) -> list[str]:
    """Return the weakenings of a machine that are not found, of all or of `count` of them with a fixed seed."""
    found = list(weakenings(name, machine(name), list(machine_contract.INPUTS[name])))
    chosen = random.Random("seqdrop").sample(found, min(count, len(found))) if count else found  # noqa: S311  a choice
    others = {other: machine(other) for other in MACHINES}
    return [str(change) for change in chosen if not is_found({**others, name: change.apply(machine(name))})]


def is_found(machines: dict[str, dict[str, Any]]) -> bool:
    """Return whether the gate or the contract finds a fault in these machines."""
    written = [read_machine(name, json.dumps(definition)) for name, definition in machines.items()]
    # The order of keys is not a weakening: a removed and a new key may change it.
    rules = {finding.rule for finding in asl.check_all(written)} - {"key-order"}
    return bool(rules or machine_contract.problems(machines))


def read_machine(name: str, text: str = "") -> asl.Machine:
    """Return a state machine of the template, with another text if there is one."""
    path = f"statemachine/{name}.asl.json"
    [found] = asl.read_machines(template(), {path: text or (ROOT / path).read_text()})
    return found


if __name__ == "__main__":
    for machine_name in MACHINES:
        total = len(list(weakenings(machine_name, machine(machine_name), list(machine_contract.INPUTS[machine_name]))))
        alive = survivors(machine_name)
        sys.stdout.write(f"{machine_name}: {total - len(alive)} of {total} found\n")
        sys.stdout.writelines(f"  not found: {change}\n" for change in alive)
