"""Match values with the patterns of policies."""

import re
from functools import cache
from typing import Any


def as_list(value: Any) -> list[Any]:
    """Return a list; a policy may have one value without brackets."""
    return value if isinstance(value, list) else [value]


def matches(pattern: str, value: str) -> bool:
    """Return whether a value matches a pattern of IAM: `*` is any text, `?` any character."""
    return _compiled(pattern).fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
