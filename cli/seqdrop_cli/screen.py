"""Where commands write: standard output, in colour for a person, as plain lines for a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console


def screen() -> Console:
    """Made anew: tests and pipes change what standard output is."""
    # A pipe has no width: nothing is cut there.
    return Console(width=None if sys.stdout.isatty() else 240, soft_wrap=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """Text of a run or a tool is never markup: `[M::mem]` must arrive as it is."""
    screen().print(text, style=style or None, markup=False)


def say_json(value: Mapping[str, Any] | list[Any]) -> None:
    """One line with nothing folded, so that `jq` reads it. DynamoDB's numbers are Decimals."""
    print(json.dumps(value, default=_plain))  # noqa: T201  the command line speaks here


def _plain(value: Any) -> Any:
    return int(value) if value == int(value) else float(value)


def seconds(value: float) -> str:
    """Short for a person: `8 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
