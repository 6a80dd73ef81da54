"""Match a call with the statements of identity policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import conditions
from .patterns import as_list, matches


@dataclass(frozen=True)
class Need:
    """A right that a call needs: an action on a resource."""

    action: str  # s3:GetObject
    resource: str  # an ARN, or "*"
    context: tuple[tuple[str, str], ...] = ()  # condition keys of this request, in lower case, with their values


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

    def match(self, need: Need, of_role: conditions.Context) -> Grant | None:
        """Return the patterns that match; None if the statement is not about this call, of a role with these keys."""
        action = _pattern(self.body, "Action", need.action.lower(), str.lower)
        resource = _pattern(self.body, "Resource", need.resource, str)
        if action is None or resource is None or not conditions.hold(self.body, {**of_role, **dict(need.context)}):
            return None
        return Grant(action, resource)


def statements(documents: list[dict[str, Any]]) -> Iterator[Statement]:
    """Yield every statement of policies; raise UnknownConditionError for one that cannot be evaluated."""
    for document in documents:
        for body in as_list(document.get("Statement", [])):
            conditions.check(body)
            yield Statement(body)


def _pattern(body: Mapping[str, Any], element: str, value: str, normal: Callable[[str], str]) -> str | None:
    """Return the first pattern that matches; where there is only `NotAction` or `NotResource`, its name."""
    if element not in body:
        excluded = as_list(body.get(f"Not{element}", "*"))
        return None if any(matches(normal(pattern), value) for pattern in excluded) else f"Not{element}"
    return next((pattern for pattern in as_list(body[element]) if matches(normal(pattern), value)), None)
