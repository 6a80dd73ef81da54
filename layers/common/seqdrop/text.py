"""Words of tools and of AWS, made fit for a row, a message and a terminal: one line each, nothing hidden, bounded."""

from __future__ import annotations

import re

LONGEST = 2000  # characters of a line; what is longer is no sentence
LOOKED_AT = 10_000  # characters: a tool may write a megabyte without ending a line
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")  # of terminals


def plain(text: str, most: int = LONGEST) -> str:
    """`text` with no colours, no control characters, the last state of a progress bar; `most` characters at most."""
    shown = _ESCAPES.sub("", text[:LOOKED_AT]).rstrip().rsplit("\r", 1)[-1]
    line = "".join(sign if sign.isprintable() else " " for sign in shown).strip()
    return line if len(line) <= most else f"{line[: most - 3]}..."
