"""Clean up text from tools and from AWS, so that it can be stored in a row, sent in a message and printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

MAX_LINE = 2000  # characters of a result
MAX_INPUT = 10_000  # characters read of the input: a tool may write a megabyte without a line end
CENT = 0.01  # USD
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")  # terminal escapes


def count_warnings(number: int, before: str = "") -> str:
    """Return `1 warning` or `2 warnings` after the text `before`; "" without warnings."""
    return f"{before}{number:,} warning{'' if number == 1 else 's'}" if number else ""


def format_usd(amount: float) -> str:
    """Return a price in US dollars: `$1.20`, and `< $0.01` where two digits would show nothing."""
    return "< $0.01" if 0 < amount < CENT else f"${amount:,.2f}"


def format_exact_usd(amount: float | Decimal) -> str:
    """Return a price that may be a fraction of a cent, so that sums add up: `$0.000145`, `$1.20`."""
    return f"${amount:,.6f}" if 0 < amount < 1 else f"${amount:,.2f}"


def format_seconds(value: float) -> str:
    """Format a duration: `8 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def plain_line(text: str, max_length: int = MAX_LINE) -> str:
    """Return one printable line of at most `max_length` characters; a longer text ends with "...".

    Terminal escapes are removed, control characters become blanks, and only the last state of a progress bar is kept.
    """
    last_state = _ESCAPES.sub("", text[:MAX_INPUT]).rstrip().rsplit("\r", 1)[-1]
    line = "".join(char if char.isprintable() else " " for char in last_state).strip()
    return line if len(line) <= max_length else f"{line[: max_length - 3]}..."
