"""Test seqdrop.text: text of tools becomes one printable line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.text import format_usd, plain_line


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.0, "$0.00"), (0.0001, "< $0.01"), (0.0099, "< $0.01"), (0.01, "$0.01"), (1.5, "$1.50"), (1234.5, "$1,234.50")],
)
def test_a_price_under_a_cent_is_not_shown_as_zero(amount: float, text: str) -> None:
    assert format_usd(amount) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[M::mem] 7", "[M::mem] 7"),
        ("\x1b[1;31mError\x1b[0m: no", "Error: no"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1b]never ended", ""),
        ("a\n\tb\r\n", "a  b"),
        ("10 %\r50 %\r100 %\r", "100 %"),
        ("NUL\x00BEL\x07C1\x9b31m", "NUL BEL C1 31m"),
        ("exe.\u202etxt\u200b\ufeff", "exe. txt"),
        ("\ud800", ""),
        ("Größe µ 日本", "Größe µ 日本"),
    ],
)
def test_escapes_and_control_characters_are_removed(text: str, line: str) -> None:
    assert plain_line(text, 100) == line


def test_a_long_text_is_shortened_and_ends_with_dots() -> None:
    assert plain_line("abcdefgh", 8) == "abcdefgh"
    assert plain_line("abcdefghi", 8) == "abcde..."
    assert plain_line("x" * 50_000_000, 20) == "x" * 17 + "..."


@given(st.text(), st.integers(3, 50))
def test_any_text_becomes_one_short_printable_line(text: str, max_length: int) -> None:
    line = plain_line(text, max_length)
    assert len(line) <= max_length
    assert line.encode().decode() == line
    assert line.isprintable()
    assert plain_line(line, max_length) == line
