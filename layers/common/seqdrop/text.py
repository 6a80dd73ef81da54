"""Words of tools and of AWS, made fit for a row, a message and a terminal: one line each, nothing hidden, bounded."""

from __future__ import annotations

import re

MAX_LINE = 2000  # characters of a line; what is longer is no sentence
MAX_INPUT = 10_000  # characters: a tool may write a megabyte without ending a line
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")  # of terminals


def plain_line(text: str, max_length: int = MAX_LINE) -> str:
    """Return `text` without colours and control characters, as one line of at most `max_length` characters."""
    shown = _ESCAPES.sub("", text[:MAX_INPUT]).rstrip().rsplit("\r", 1)[-1]
    line = "".join(sign if sign.isprintable() else " " for sign in shown).strip()
    return line if len(line) <= max_length else f"{line[: max_length - 3]}..."
