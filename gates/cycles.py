"""No resource waits for itself: CloudFormation finds such a circle only when a stack is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .finding import Finding
from .template import Template, listed

GATE = "cycles"
PLACEHOLDER = re.compile(r"\$\{([^!}.]+)[^}]*\}")


def check(template: Template) -> list[Finding]:
    resources = template.resources
    graph = {name: {used for used in references(resource) if used in resources} for name, resource in resources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return [Finding(GATE, "cycle", circle[0], " needs ".join(reversed(circle)))]
    return []


def references(piece: Any) -> Iterator[str]:
    """Every name that a piece of template speaks of: resources among them make it wait."""
    if isinstance(piece, list):
        for item in piece:
            yield from references(item)
    elif isinstance(piece, dict):
        for key, value in piece.items():
            if key == "Ref":
                yield value
            elif key == "DependsOn":
                yield from listed(value)
            elif key == "Fn::GetAtt":
                yield value.split(".")[0] if isinstance(value, str) else value[0]
            elif key == "Fn::Sub":
                yield from PLACEHOLDER.findall(value if isinstance(value, str) else value[0])
                yield from references([] if isinstance(value, str) else value[1])
            else:
                yield from references(value)
