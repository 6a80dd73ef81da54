"""Evaluate the conditions of identity policies; refuse those that this AWS cannot evaluate.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from embedded_aws import aws

from .patterns import as_list, matches

Context = Mapping[str, str]  # condition key, in lower case -> value
Test = Callable[[str, list[str]], bool]
IF_EXISTS = "IfExists"
OF_REQUESTS = frozenset({"s3:prefix", "events:source"})
OF_ROLES = ("aws:PrincipalArn", "aws:PrincipalAccount", "aws:ResourceAccount", "aws:RequestedRegion")
TLS = "aws:SecureTransport"


class UnknownConditionError(ValueError):
    """A policy has a condition that this AWS cannot evaluate."""


def context_of(role: str) -> Context:
    """Return the keys of every request of a role. Requests to this AWS count as encrypted: on AWS they are."""
    values = dict(zip(OF_ROLES, (role, aws.ACCOUNT, aws.ACCOUNT, aws.REGION), strict=True))
    return {key.lower(): value for key, value in {**values, TLS: "true"}.items()}


def check(body: Mapping[str, Any]) -> None:
    """Raise UnknownConditionError unless every operator and key of a statement is known."""
    for operator, key, _ in conditions_of(body):
        if operator != "Null" and operator.removesuffix(IF_EXISTS) not in TESTS:
            known = ", ".join(["Null", *TESTS])
            raise UnknownConditionError(f"the condition operator {operator} is not known to this AWS; it knows {known}")
        if key.lower() not in KEYS:
            known = ", ".join(sorted([*OF_REQUESTS, *OF_ROLES, TLS]))
            raise UnknownConditionError(f"the condition key {key} is not known to this AWS; it knows {known}")


def conditions_of(body: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield operator, key and values of each condition of a statement."""
    for operator, keys in body.get("Condition", {}).items():
        for key, values in keys.items():
            yield operator, key, [_text(value) for value in as_list(values)]


def hold(body: Mapping[str, Any], context: Context) -> bool:
    """Return whether a request meets every condition of a statement."""
    return all(_holds(operator, context.get(key.lower()), values) for operator, key, values in conditions_of(body))


def _holds(operator: str, value: str | None, values: list[str]) -> bool:
    if operator == "Null":
        return any((value is None) == (expected == "true") for expected in values)
    name = operator.removesuffix(IF_EXISTS)
    if value is None:  # a key that the request does not have
        return operator != name or name in NEGATED
    return TESTS[name](value, values) != (name in NEGATED)


def _text(value: Any) -> str:
    """Return a value of a policy as text: YAML and JSON have `true` without quotes too."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(value: str, values: list[str]) -> bool:
    return value in values


def _equal_in_any_case(value: str, values: list[str]) -> bool:
    return value.lower() in map(str.lower, values)


def _like(value: str, patterns: list[str]) -> bool:
    return any(matches(pattern, value) for pattern in patterns)


TESTS: dict[str, Test] = {
    "StringEquals": _equal,
    "StringNotEquals": _equal,
    "StringEqualsIgnoreCase": _equal_in_any_case,
    "StringNotEqualsIgnoreCase": _equal_in_any_case,
    "StringLike": _like,
    "StringNotLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "ArnNotEquals": _like,
    "ArnNotLike": _like,
    "Bool": _equal_in_any_case,
}
NEGATED = frozenset(name for name in TESTS if "Not" in name)
KEYS = frozenset(key.lower() for key in (*OF_REQUESTS, *OF_ROLES, TLS))
