"""Match a call with the statements of identity policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

Context = Mapping[str, str]  # condition key, in lower case -> value; only of keys that this AWS knows


@dataclass(frozen=True)
class Need:
    """A right that a call needs: an action on a resource."""

    action: str  # s3:GetObject
    resource: str  # an ARN, or "*"
    context: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Grant:
    """The patterns of a statement that match a call."""

    action: str
    resource: str


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    body: Mapping[str, Any]

    @property
    def allows(self) -> bool:
        """Whether the effect is Allow."""
        return bool(self.body["Effect"] == "Allow")

    def match(self, need: Need) -> Grant | None:
        """Return the patterns that match; None if the statement is not about this call."""
        action = _pattern(self.body, "Action", need.action.lower(), str.lower)
        resource = _pattern(self.body, "Resource", need.resource, str)
        if action is None or resource is None or not self._condition_holds(dict(need.context)):
            return None
        return Grant(action, resource)

    def _condition_holds(self, context: Context) -> bool:
        """Evaluate the conditions. Those of other operators and keys are ignored, in favour of the caller."""
        for operator, keys in self.body.get("Condition", {}).items():
            for key, values in keys.items():
                test = OPERATORS.get(operator)
                if test is None or key.lower() not in KEYS:
                    if not self.allows:
                        return False
                elif not test(context.get(key.lower()), [str(value) for value in as_list(values)]):
                    return False
        return True


def statements(documents: list[dict[str, Any]]) -> Iterator[Statement]:
    """Yield every statement of policies."""
    for document in documents:
        yield from map(Statement, as_list(document.get("Statement", [])))


def as_list(value: Any) -> list[Any]:
    """Return a list; a policy may have one value without brackets."""
    return value if isinstance(value, list) else [value]


def _pattern(body: Mapping[str, Any], element: str, value: str, normal: Callable[[str], str]) -> str | None:
    """Return the first pattern that matches; where there is only `NotAction` or `NotResource`, its name."""
    if element not in body:
        excluded = as_list(body.get(f"Not{element}", "*"))
        return None if any(matches(normal(pattern), value) for pattern in excluded) else f"Not{element}"
    return next((pattern for pattern in as_list(body[element]) if matches(normal(pattern), value)), None)


def matches(pattern: str, value: str) -> bool:
    """Return whether a value matches a pattern of IAM: `*` is any text, `?` any character."""
    return _compiled(pattern).fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _like(value: str | None, patterns: list[str]) -> bool:
    return value is not None and any(matches(pattern, value) for pattern in patterns)


Test = Callable[[str | None, list[str]], bool]
OPERATORS: dict[str, Test] = {
    "StringEquals": lambda value, values: value in values,
    "StringNotEquals": lambda value, values: value not in values,
    "StringLike": _like,
    "StringNotLike": lambda value, patterns: not _like(value, patterns),
    "ArnEquals": _like,
    "ArnLike": _like,
}
KEYS = frozenset({"s3:prefix"})
