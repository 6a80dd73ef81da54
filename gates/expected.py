"""Compare the template with the tables in `gates/expected_values/`; the module `tables` describes their form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

from embedded_aws.intrinsics import NO_VALUE

from .finding import Finding, LocatedProblem, drop_duplicates
from .tables import (
    CONDITIONS,
    OUTPUTS,
    PARAMETERS,
    Row,
    condition_cases,
    output_values,
    parameter_rows,
    rows,
    rows_of,
    values_for,
)
from .template import ELSEWHERE, HERE, Stack, Template

GATE = "expected"
ALSO = "also"  # values of a resource that another gate or a test checks
UNLISTED = {"Type", "Properties", "Metadata", "Condition"}  # attributes of a resource that no row has to list
ADD_ROW = "add it to a table in gates/expected_values/, with the reason of each value"
TRANSFORM = "AWS::Serverless-2016-10-31"
GENERATED_BY_SAM = ("AWS::Lambda::Permission",)  # nothing in the template says how


def check(template: Template) -> list[Finding]:
    """Return every value of the template that differs from the tables."""
    problems = [
        *(problem for stack in template.stacks for problem in check_stack(stack)),
        *check_resources(template.resources, template.source["Resources"]),
        *check_parameters(template.source["Parameters"]),
        *check_conditions(template),
        *check_outputs(template.source),
        *check_transform(template.source),
    ]
    return drop_duplicates(Finding(GATE, *problem) for problem in problems)


def check_stack(stack: Stack) -> Iterator[LocatedProblem]:
    """Compare the resources of one deployment with the tables."""
    for name, resource in stack.resources.items():
        yield from check_resource(stack, name, resource)
        yield from check_keys(name, resource)


def check_keys(name: str, resource: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that each property and each attribute, such as `DeletionPolicy`, is in one of the rows of a resource."""
    listed = {path for row in rows_of(name, resource["Type"]) for path in listed_paths(row, name)}
    if not listed and resource["Type"] in GENERATED_BY_SAM:
        return
    paths = {path for path in listed if not path.startswith(".")}
    found = [*unlisted(resource["Properties"], "", paths)] if paths else []
    found += [f".{key}" for key in resource if key not in UNLISTED and f".{key}" not in listed]
    for path in found:
        yield "unlisted", f"{name}.{path.lstrip('.')}", f"no table says what this value must be; {ADD_ROW}"


def listed_paths(row: Row, name: str) -> list[str]:
    """Return the paths of a row, and those that it leaves to other gates and tests."""
    values = values_for(row, name)
    also: list[str] = values.get(ALSO, [])
    return [*values, *also]


def unlisted(values: dict[str, Any], parent: str, paths: set[str]) -> Iterator[str]:
    """Yield the path of each value that is not listed, neither itself nor by its parts."""
    for key, value in values.items():
        path = f"{parent}{key}"
        has_listed_parts = any(listed.startswith(f"{path}.") for listed in paths)
        if has_listed_parts and isinstance(value, dict):
            yield from unlisted(value, f"{path}.", paths)
        elif path not in paths and not has_listed_parts and not key.endswith("Description"):
            yield path


def check_resource(stack: Stack, name: str, resource: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Compare one resource with its rows."""
    for row in rows_of(name, resource["Type"]):
        for path, expected in values_for(row, name).items():
            if path not in (".Condition", ALSO):
                yield from compare(row, f"{name}.{path}", find(resource, path), stack.resolve(expected))


def compare(row: Row, location: str, actual: Any, expected: Any) -> Iterator[LocatedProblem]:
    """Yield a problem unless both values are equal."""
    if actual != expected:
        yield (
            "value",
            location,
            f"is {shown(actual)}, but: {row.why}; set it to {shown(expected)}, "
            f"or change gates/expected_values/{row.table} with its reason",
        )


def shown(value: Any) -> str:
    """Return a value for a message."""
    return "missing" if value is NO_VALUE else json.dumps(value, default=str)


def find(resource: dict[str, Any], path: str) -> Any:
    """Return the value at a path of a resource, or NO_VALUE."""
    value: Any = resource if path.startswith(".") else resource.get("Properties", {})
    for key in path.removeprefix(".").split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return NO_VALUE
    return value


def check_resources(resources: dict[str, Any], written: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that each resource is in a table, exists under its condition alone, and that none is missing."""
    for name, resource in resources.items():
        mine = rows_of(name, resource["Type"])
        if not mine and (name in written or resource["Type"] not in GENERATED_BY_SAM):
            yield "unlisted", name, f"no table says what this resource must be like; {ADD_ROW}"
        expected = next((value for row in mine if (value := values_for(row, name).get(".Condition"))), None)
        if resource.get("Condition") != expected:
            yield "condition", name, f"has the condition {resource.get('Condition')}; expected is {expected}"
    for row in rows():
        for selector in row.selectors:
            if not any(row.selects(name, resource["Type"], selector) for name, resource in resources.items()):
                yield "missing", selector, f"does not exist, but: {row.why}; add it, or remove it from {row.table}"


def check_parameters(parameters: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Compare the declarations of parameters with their table."""
    for name, declared in parameters.items():
        mine = [row for row in parameter_rows() if row.selects(name, "")]
        if not mine:
            yield "unlisted", name, f"no table has the limits of this parameter; {ADD_ROW}"
        expected = {key: value for row in mine for key, value in values_for(row, name).items()}
        actual = {key: value for key, value in declared.items() if not key.endswith("Description")}
        for key in sorted({*expected, *actual}):
            if actual.get(key) != expected.get(key):
                yield (
                    "parameter",
                    f"{name}.{key}",
                    f"is {json.dumps(actual.get(key))}, but gates/expected_values/{PARAMETERS}.yaml has "
                    f"{json.dumps(expected.get(key))}: {' '.join(row.why for row in mine)}; correct one of them",
                )
    for row in parameter_rows():
        if not any(row.selects(name, "") for name in parameters):
            yield "missing", row.selector, f"no such parameter; add it, or remove it from {row.table}"


def check_conditions(template: Template) -> Iterator[LocatedProblem]:
    """Check that each condition is true and false with the parameters of its table."""
    body = {**template.transformed, "Resources": {}}
    for name in sorted({*body["Conditions"], *condition_cases()}):
        if name not in body["Conditions"]:
            yield "missing", name, f"no such condition; add it, or remove it from {CONDITIONS}.yaml"
        elif name not in condition_cases():
            yield "unlisted", name, f"no table says when this condition is true; add it to {CONDITIONS}.yaml"
        else:
            for expected, cases in condition_cases()[name].items():
                for parameters, place in product(cases, (HERE, ELSEWHERE)):
                    if Stack(body, {**place, **parameters}).condition(name) is not expected:
                        yield "truth", name, f"must be {expected} with {parameters or 'the defaults'}; correct it"


def with_condition(value: Any, output: dict[str, Any]) -> Any:
    """Return the value of an output, as `Fn::If` if it exists under a condition alone."""
    return {"Fn::If": [output["Condition"], value, {"Ref": "AWS::NoValue"}]} if "Condition" in output else value


def check_transform(source: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that SAM alone transforms the template: a macro of the account could change all that the gates check."""
    if (actual := source.get("Transform")) != TRANSFORM:
        yield "transform", "Transform", f"is {shown(actual)}, so that others change the template; set it to {TRANSFORM}"


def check_outputs(source: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Compare the outputs with their table: the CLI finds the resources of a stack by its outputs."""
    outputs = {name: with_condition(output["Value"], output) for name, output in source["Outputs"].items()}
    for name in sorted({*outputs, *output_values()}):
        actual, expected = outputs.get(name, NO_VALUE), output_values().get(name, NO_VALUE)
        if actual != expected:
            yield "output", name, f"is {shown(actual)}, but {OUTPUTS}.yaml has {shown(expected)}; correct one of them"
    for name, output in source["Outputs"].items():
        if "Export" in output:
            yield "export", name, "a stack that imports it blocks changes and deletion of this one; remove Export"
