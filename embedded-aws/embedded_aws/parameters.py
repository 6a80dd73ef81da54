"""A template's parameters: given or default, and as the template wants them, refused as CloudFormation refuses."""

import re
from collections.abc import Iterator
from typing import Any

from .template import Template, TemplateError

LISTS = ("List<", "CommaDelimitedList")


def values(template: Template, given: dict[str, str]) -> dict[str, Any]:
    """Raises TemplateError."""
    declared = template.body.get("Parameters", {})
    if unknown := sorted(set(given) - set(declared)):
        raise TemplateError(f"the template has no parameter {', '.join(unknown)}")
    found = {name: given.get(name, about.get("Default")) for name, about in declared.items()}
    if missing := sorted(name for name, value in found.items() if value is None):
        raise TemplateError(f"no value for parameter {', '.join(missing)}")
    for name, about in declared.items():
        _check(name, str(found[name]), about)
    return {name: _typed(value, declared[name]) for name, value in found.items()}


def _typed(value: Any, about: dict[str, Any]) -> Any:
    return str(value).split(",") if about["Type"].startswith(LISTS) else value


def _check(name: str, value: str, about: dict[str, Any]) -> None:
    items = [item.strip() for item in value.split(",")] if about["Type"].startswith(LISTS) else [value]
    for item in items:
        if broken := next(_broken(item, about), None):
            told = about.get("ConstraintDescription", broken)
            raise TemplateError(f"parameter {name} is {item!r}, and {told}")


def _broken(value: str, about: dict[str, Any]) -> Iterator[str]:
    """What a value is against."""
    allowed = [str(one) for one in about.get("AllowedValues", [])]
    if allowed and value not in allowed:
        yield f"must be one of {', '.join(allowed)}"
    if "AllowedPattern" in about and not re.fullmatch(about["AllowedPattern"], value):
        yield f"must look like {about['AllowedPattern']}"
    if not int(about.get("MinLength", 0)) <= len(value) <= int(about.get("MaxLength", len(value))):
        yield f"must have {about.get('MinLength', 0)} to {about.get('MaxLength', 'any number of')} characters"
    if about["Type"] in ("Number", "List<Number>"):
        yield from _out_of_range(value, about)


def _out_of_range(value: str, about: dict[str, Any]) -> Iterator[str]:
    try:
        number = float(value)
    except ValueError:
        yield "must be a number"
        return
    if number < float(about.get("MinValue", "-inf")):
        yield f"must be at least {about['MinValue']}"
    if number > float(about.get("MaxValue", "inf")):
        yield f"must be at most {about['MaxValue']}"
