"""Generate weakenings of the template: remove, widen or rename one of its keys, one at a time."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[Any, ...]
Kinds = dict[str, list[str]]
SECTIONS = ("Parameters", "Mappings", "Conditions", "Rules", "Globals", "Resources", "Outputs")
# Texts for people, and names that nothing refers to: another text changes no behaviour.
TEXTS = {
    "AlarmDescription",
    "AssertDescription",
    "ConstraintDescription",
    "Description",
    "GroupDescription",
    "Metadata",
    "PolicyName",
    "Sid",
}  # fmt: skip
OPPOSITES = {"Allow": "Deny", "Deny": "Allow", "Enabled": "Disabled"}
FUNCTIONS = {"Ref", "Condition"}  # and every key that starts with `Fn::`
# What becomes of a resource and its data when it leaves the stack: each value is tried on every resource.
POLICIES = {
    "DeletionPolicy": ("Delete", "Retain", "RetainExceptOnCreate"),
    "UpdateReplacePolicy": ("Delete", "Retain"),
}
ACTION = re.compile(r"[a-z0-9]+:[A-Z]\w+")
PLACEHOLDER = re.compile(r"\$\{(\w+)")


@dataclass(frozen=True)
class Weakening:
    """One change: the path of the key, what was done to it, and the new value (None: removed)."""

    path: Path
    change: str
    value: Any

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.change}"

    def apply(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document with this change; it shares everything outside the path with the original."""
        changed = parent = copy.copy(document)
        *folders, last = self.path
        for folder in folders:
            parent[folder] = parent = copy.copy(parent[folder])
        if self.change == "removed":
            del parent[last]
        else:
            parent[last] = self.value
        return changed


def weakenings(document: dict[str, Any]) -> Iterator[Weakening]:
    """Yield every weakening of a template."""
    kinds = kinds_of_names(document)
    for section in SECTIONS:
        for name, part in document[section].items():
            if section == "Resources":
                yield Weakening((section, name), "removed", None)
                yield from of_policies((section, name), part)
                for key, value in part.items():
                    if key not in ("Type", *TEXTS):
                        yield from of_entry((section, name, key), value, kinds)
            else:
                yield from of_entry((section, name), part, kinds)


def of_policies(path: Path, resource: dict[str, Any]) -> Iterator[Weakening]:
    """Yield every other deletion and replacement policy of a resource, also where it has none."""
    for key, values in POLICIES.items():
        for value in values:
            if resource.get(key) != value:
                yield Weakening((*path, key), f"{resource.get(key)} -> {value}", value)


def kinds_of_names(document: dict[str, Any]) -> Kinds:
    """Return, for each resource, parameter and condition, the others of its type."""
    types = {
        name: part["Type"] for part in (document["Resources"], document["Parameters"]) for name, part in part.items()
    }
    types |= dict.fromkeys(document["Conditions"], "Condition")
    return {name: [other for other, kind in types.items() if kind == types[name] and other != name] for name in types}


def of_entry(path: Path, value: Any, kinds: Kinds) -> Iterator[Weakening]:
    """Yield the weakenings of one entry of a mapping or a list, and of what it contains."""
    if path[-1] not in FUNCTIONS and not str(path[-1]).startswith("Fn::"):
        yield Weakening(path, "removed", None)
    if path[-1] == "Condition" and isinstance(value, str):
        yield from (Weakening(path, f"{value} -> {other}", other) for other in kinds[value])
    elif is_function(value):
        yield from of_function(path, value, kinds)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in TEXTS:
                yield from of_entry((*path, key), inner, kinds)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from of_entry((*path, number), inner, kinds)
    else:
        for other in other_values(value, kinds):
            yield Weakening(path, f"{value!r:.60} -> {other!r:.60}", other)


def is_function(value: Any) -> bool:
    """Return whether a value is an intrinsic function."""
    if not (isinstance(value, dict) and len(value) == 1):
        return False
    [(key, argument)] = value.items()
    return key.startswith("Fn::") or (key in FUNCTIONS and isinstance(argument, str))


def of_function(path: Path, value: dict[str, Any], kinds: Kinds) -> Iterator[Weakening]:
    """Yield the weakenings of an intrinsic function: another name, another text, the other branch."""
    [(function, argument)] = value.items()
    if function == "Fn::If":
        yield from of_if(path, argument, kinds)
    elif function in ("Ref", "Fn::GetAtt"):
        yield from of_name(path, function, argument, kinds)
    elif function == "Fn::Sub":
        yield from of_text(path, argument, kinds)
    elif function == "Condition":
        yield from of_entry((*path, function), argument, kinds)
    elif function != "Fn::Base64":  # the user data: tests/contract/test_user_data.py
        inner = enumerate(argument) if isinstance(argument, list) else []
        for number, item in inner:
            yield from changes_of((*path, function, number), item, kinds)


def of_if(path: Path, argument: list[Any], kinds: Kinds) -> Iterator[Weakening]:
    """Yield `Fn::If` with its branches swapped, with each other condition, and with the weakenings of each branch."""
    condition, first, second = argument
    yield Weakening(path, "branches swapped", {"Fn::If": [condition, second, first]})
    for other in kinds[condition]:
        yield Weakening(path, f"{condition} -> {other}", {"Fn::If": [other, first, second]})
    for number, branch in enumerate((first, second), 1):
        yield from changes_of((*path, "Fn::If", number), branch, kinds)


def changes_of(path: Path, value: Any, kinds: Kinds) -> Iterator[Weakening]:
    """Yield the weakenings of an argument of a function, which cannot be removed itself."""
    return (each for each in of_entry(path, value, kinds) if each.path != path or each.change != "removed")


def of_name(path: Path, function: str, argument: Any, kinds: Kinds) -> Iterator[Weakening]:
    """Yield `Ref` or `Fn::GetAtt` with another name of the same type."""
    if function == "Ref":
        name, attributes = argument, []
    else:
        name, *attributes = argument if isinstance(argument, list) else argument.split(".", 1)
    for other in kinds.get(name, [])[:1]:
        yield Weakening(path, f"{name} -> {other}", {function: [other, *attributes] if attributes else other})


def of_text(path: Path, argument: Any, kinds: Kinds) -> Iterator[Weakening]:
    """Yield `Fn::Sub` with other names in its text."""
    text, *variables = [argument] if isinstance(argument, str) else argument
    for other in texts_with_other_names(text, kinds):
        yield Weakening(
            path, f"{text!r:.60} -> {other!r:.60}", {"Fn::Sub": [other, *variables] if variables else other}
        )


def texts_with_other_names(text: str, kinds: Kinds) -> Iterator[str]:
    """Yield the text of a `Fn::Sub` with another name, or wider: with a pattern in the place of its end."""
    for name in dict.fromkeys(PLACEHOLDER.findall(text)):
        for other in kinds.get(name, [])[:1]:
            yield re.sub(rf"\$\{{{name}\b", f"${{{other}", text)
    if "arn:" in text or ".Arn}" in text:
        yield re.sub(r"[^/:]*[/:]\*$" if text.endswith(("/*", ":*")) else r"[^/:]+$", "*", text)
    else:
        yield f"{text}x"


def other_values(value: Any, kinds: Kinds) -> Iterator[Any]:
    """Yield wider or other values of a scalar."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value * 10 if value else 1
        yield from [max(value // 10, 1)] if value > 1 else []
    elif isinstance(value, str):
        yield kinds[value][0] if kinds.get(value) else wider(value)


def wider(text: str) -> str:
    """Return a pattern of actions for an action, one of everything for an ARN, the opposite, else another text."""
    if text in OPPOSITES:
        return OPPOSITES[text]
    if text.startswith("arn:"):
        return "*"
    return f"{text.partition(':')[0]}:*" if ACTION.fullmatch(text) else f"{text}x"
