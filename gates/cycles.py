"""Check that no resource depends on itself: CloudFormation reports such a cycle only when it creates the stack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .finding import Finding
from .template import Template, as_list

GATE = "cycles"
PLACEHOLDER = re.compile(r"\$\{([^!}.]+)[^}]*\}")


def check(template: Template) -> list[Finding]:
    """Return a finding for the first dependency cycle."""
    resources = template.resources
    graph = {name: {used for used in references(resource) if used in resources} for name, resource in resources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        message = f"circular dependency: {' needs '.join(reversed(cycle))}; remove one of these references"
        return [Finding(GATE, "cycle", cycle[0], message)]
    return []


def references(value: Any) -> Iterator[str]:
    """Yield every name that a part of a template refers to; the resources among them are its dependencies."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, argument in value.items():
            yield from references_of_entry(key, argument)


def references_of_entry(key: str, argument: Any) -> Iterator[str]:
    """Yield the names in one entry of a mapping: an intrinsic function, DependsOn or a plain property."""
    if key == "Ref":
        yield argument
    elif key == "DependsOn":
        yield from as_list(argument)
    elif key == "Fn::GetAtt":
        yield argument.split(".")[0] if isinstance(argument, str) else argument[0]
    elif key == "Fn::Sub":
        text, variables = (argument, {}) if isinstance(argument, str) else argument
        yield from PLACEHOLDER.findall(text)
        yield from references(variables)
    else:
        yield from references(argument)
