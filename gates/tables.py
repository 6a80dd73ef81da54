"""Read the tables in `gates/expected_values/`: values of the template that no other file determines.

A table has one entry for each resource, or for all of one kind. An entry has rows of values, each with its reason:

    "*JobQueue":                       # logical IDs with `, ` between them, with * for any letters, or a type
      - why: a job blocks those behind it
        JobStateTimeLimitActions: ...  # a path below Properties, and the whole value there
        .Condition: OwnNetwork         # with a dot in front: below the resource

Values are written as in the template: functions are resolved in each deployment. `<Stem>` and `<stem>` stand for what
`*` matched, in CamelCase and snake_case. `!Ref AWS::NoValue` stands for a value that must not be there. Every property
is in a row, and every attribute such as `DeletionPolicy`: the list `also` has those that another gate or a test checks,
and texts for people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from embedded_aws.template import parse as parse_yaml

FOLDER = Path(__file__).with_name("expected_values")
PARAMETERS, CONDITIONS, OUTPUTS = "parameters", "conditions", "outputs"
SELECTOR = re.compile(r'^("[^"]+"|\w.*?):(?=\s)', re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """Some expected values of the resources that a selector matches, and their reason."""

    table: str
    selector: str
    why: str
    values: str  # in JSON

    @property
    def selectors(self) -> list[str]:
        """The logical IDs, patterns of them, or types."""
        return self.selector.split(", ")

    def selects(self, name: str, kind: str, selector: str = "") -> bool:
        """Return whether the row, or one of its selectors, is about a resource of this name and type."""
        selectors = [selector] if selector else self.selectors
        return any(each == kind if "::" in each else fnmatchcase(name, each) for each in selectors)


def snake_case(name: str) -> str:
    """Return a name in CamelCase as snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def rows() -> tuple[Row, ...]:
    """Return the rows of every table of resources."""
    tables = (path for path in sorted(FOLDER.glob("*.yaml")) if path.stem not in (PARAMETERS, CONDITIONS, OUTPUTS))
    return tuple(row for path in tables for row in read_rows(path))


@cache
def rows_of(name: str, kind: str) -> tuple[Row, ...]:
    """Return the rows about a resource of this name and type."""
    return tuple(row for row in rows() if row.selects(name, kind))


@cache
def values_for(row: Row, name: str) -> dict[str, Any]:
    """Return the values of a row for one resource, by path."""
    stem = name[row.selector.find("*") :].removesuffix(row.selector.rpartition("*")[2])
    text = row.values.replace("<Stem>", stem).replace("<stem>", snake_case(stem))
    values: dict[str, Any] = json.loads(text)
    return values


@cache
def parameter_rows() -> tuple[Row, ...]:
    """Return the rows of the table of parameters."""
    return tuple(read_rows(FOLDER / f"{PARAMETERS}.yaml"))


@cache
def condition_cases() -> dict[str, dict[bool, list[dict[str, str]]]]:
    """Return, for each condition, the parameters with which it is true, and those with which it is false."""
    cases: dict[str, dict[bool, list[dict[str, str]]]] = parse_yaml((FOLDER / f"{CONDITIONS}.yaml").read_text())
    return cases


@cache
def output_values() -> dict[str, Any]:
    """Return the value of each output: that of its name unless its table has another one."""
    table = parse_yaml((FOLDER / f"{OUTPUTS}.yaml").read_text())
    return {name: row.get("is", {"Ref": name}) for names, row in table.items() for name in names.split(", ")}


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of one table."""
    text = path.read_text()
    selectors = SELECTOR.findall(text)
    if repeated := {selector for selector in selectors if selectors.count(selector) > 1}:  # YAML would drop one
        raise ValueError(f"{path.name} has two entries for {', '.join(sorted(repeated))}; write them as one")
    for selector, entries in parse_yaml(text).items():
        for entry in entries:
            values = {key: value for key, value in entry.items() if key != "why"}
            yield Row(path.name, selector, entry["why"], json.dumps(values))
