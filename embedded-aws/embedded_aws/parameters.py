"""Values of a template's parameters, validated with the constraints that CloudFormation checks."""

import re
from collections.abc import Iterator
from typing import Any

from .template import Template, TemplateError

LISTS = ("List<", "CommaDelimitedList")


def values(template: Template, overrides: dict[str, str]) -> dict[str, Any]:
    """Return the value of each parameter: the override, or the default; raise TemplateError if one is not valid."""
    declarations = template.body.get("Parameters", {})
    if unknown := sorted(set(overrides) - set(declarations)):
        raise TemplateError(f"the template has no parameter {', '.join(unknown)}")
    texts = {name: overrides.get(name, declared.get("Default")) for name, declared in declarations.items()}
    if missing := sorted(name for name, text in texts.items() if text is None):
        raise TemplateError(f"no value for parameter {', '.join(missing)}")
    for name, declared in declarations.items():
        _validate(name, str(texts[name]), declared)
    return {name: _convert(text, declarations[name]) for name, text in texts.items()}


def _convert(text: Any, declared: dict[str, Any]) -> Any:
    return str(text).split(",") if declared["Type"].startswith(LISTS) else text


def _validate(name: str, text: str, declared: dict[str, Any]) -> None:
    items = [item.strip() for item in text.split(",")] if declared["Type"].startswith(LISTS) else [text]
    for item in items:
        if violation := next(_violations(item, declared), None):
            constraint = declared.get("ConstraintDescription", violation)
            raise TemplateError(f"parameter {name} is {item!r}, and {constraint}")


def _violations(item: str, declared: dict[str, Any]) -> Iterator[str]:
    allowed = [str(value) for value in declared.get("AllowedValues", [])]
    if allowed and item not in allowed:
        yield f"must be one of {', '.join(allowed)}"
    if "AllowedPattern" in declared and not re.fullmatch(declared["AllowedPattern"], item):
        yield f"must match {declared['AllowedPattern']}"
    if not int(declared.get("MinLength", 0)) <= len(item) <= int(declared.get("MaxLength", len(item))):
        yield f"must have {declared.get('MinLength', 0)} to {declared.get('MaxLength', 'any number of')} characters"
    if declared["Type"] in ("Number", "List<Number>"):
        yield from _range_violations(item, declared)


def _range_violations(item: str, declared: dict[str, Any]) -> Iterator[str]:
    try:
        number = float(item)
    except ValueError:
        yield "must be a number"
        return
    if number < float(declared.get("MinValue", "-inf")):
        yield f"must be at least {declared['MinValue']}"
    if number > float(declared.get("MaxValue", "inf")):
        yield f"must be at most {declared['MaxValue']}"
