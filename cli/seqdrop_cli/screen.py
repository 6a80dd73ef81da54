"""Print to standard output: with colours on a terminal, as plain lines into a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

PIPE_WIDTH = 240  # columns: a pipe has no width, and tables must not be cut there


def console() -> Console:
    """Return a console on standard output, which tests and pipes replace between two calls."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, soft_wrap=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """Print a line. It is never markup, so that `[M::mem]` in the output of a tool stays unchanged."""
    console().print(text, style=style or None, markup=False)


def say_json(value: Mapping[str, Any] | list[Any]) -> None:
    """Print JSON on one line, for `jq` and other programs."""
    print(json.dumps(value, default=_number))  # noqa: T201  output of the command line


def _number(value: Any) -> int | float:
    """Convert a Decimal, which is what DynamoDB has for numbers."""
    return int(value) if value == int(value) else float(value)


def format_seconds(value: float) -> str:
    """Format a duration: `8 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
