"""seqdrop.plan.names: canonical JSON and printable text."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from seqdrop.plan.names import canonical, printable

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.randoms())
def test_equal_values_have_equal_json_texts(value: Any, order: Any) -> None:
    assert json.loads(canonical(value)) == value
    assert canonical(shuffle(value, order)) == canonical(value)


def shuffle(value: Any, order: Any) -> Any:
    """Return an equal value whose objects have their keys in another order."""
    if isinstance(value, dict):
        return {key: shuffle(value[key], order) for key in order.sample(list(value), len(value))}
    return [shuffle(item, order) for item in value] if isinstance(value, list) else value


@given(st.text())
def test_printable_text_is_one_line_of_the_same_length(text: str) -> None:
    line = printable(text)
    assert len(line) == len(text)
    assert line.isprintable()
    assert printable(line) == line
