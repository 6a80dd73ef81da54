"""Print to standard output: with colours on a terminal, as plain lines into a pipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

WORD = re.compile(r"(?:`[^`]*`|\S)+")  # with the spaces of commands in back quotes
PIPE_WIDTH = 240  # columns: a pipe has no width, and tables must not be cut there


class Screen(Console):
    """A console that prints names and the output of tools unchanged.

    `[M::mem]` is text, not markup, and `:x:` is not an emoji.
    Non-printable characters are shown as Python writes them: a file name must not control the terminal.
    """

    def __init__(self, **options: Any) -> None:
        """Create a console without markup, emoji and highlighting."""
        super().__init__(soft_wrap=True, highlight=False, markup=False, emoji=False, **options)

    def say(self, text: str, style: str = "") -> None:
        """Print a message; on a terminal, commands in back quotes are not broken at its edge."""
        self.print(wrap(text, self.width) if self.is_terminal else text, style=style or None)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a text, also that of a cell of a table."""
        return super().render_str(visible(text), **options)


@dataclass(slots=True)
class _Target:
    """Where messages are printed."""

    on_stderr: bool = False
    live: Screen | None = None  # the console that shows a live table: lines of others would break it


_target = _Target()


def console() -> Screen:
    """Return a console on standard output, which tests and pipes replace between two calls; with --json on stderr."""
    if _target.live:
        return _target.live
    stream = sys.stderr if _target.on_stderr else sys.stdout
    return Screen(file=stream, width=None if stream.isatty() else PIPE_WIDTH)


@contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Print messages to standard error: standard output is for one JSON document."""
    _target.on_stderr = True
    try:
        yield
    finally:
        _target.on_stderr = False


@contextmanager
def live_table() -> Iterator[Live | None]:
    """Show a table that changes, below all lines that are printed meanwhile; None where there is no terminal."""
    terminal = console()
    if not terminal.is_terminal:
        yield None
        return
    _target.live = terminal
    try:
        with Live(console=terminal, refresh_per_second=8) as live:
            yield live
    finally:
        _target.live = None


def say(text: str, style: str = "") -> None:
    """Print a line."""
    console().say(text, style)


def wrap(text: str, width: int) -> str:
    """Break each long line with a command in back quotes between words: the command stays whole, to be copied.

    `width` is in columns. Other lines are not changed: the terminal breaks them.
    """
    return "\n".join(_wrap_line(line, width) for line in text.split("\n"))


def _wrap_line(line: str, width: int) -> str:
    if "`" not in line or cell_len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    lines: list[str] = []
    for word in WORD.findall(line):
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(indent + word)
    return "\n".join(lines)


def new_table(*headings: str) -> Table:
    """Return an empty table with these columns; long cells are folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def visible(text: str) -> str:
    """Return the text with each non-printable character written out (`\\x1b`), except for line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def say_output(line: str) -> None:
    """Print a line of output, which --json does not move to standard error."""
    print(visible(line))  # noqa: T201  output of the command line


def say_json(value: Mapping[str, Any] | list[Any]) -> None:
    """Print JSON on one line, for `jq` and other programs."""
    print(json.dumps(value, default=_number))  # noqa: T201  output of the command line


def _number(value: Any) -> int | float:
    """Convert a Decimal, which is what DynamoDB has for numbers."""
    return int(value) if value == int(value) else float(value)


def short_number(value: Any) -> str:
    """Format a count in three digits: `950`, `1.23k`, `42.1M`."""
    number = float(value)
    for unit in ("", "k", "M", "G"):
        if number < 999.5 or unit == "G":
            break
        number /= 1000
    return f"{number:.3g}{unit}"


def short_seconds(value: float) -> str:
    """Format a duration or an age in a table, with one unit as in `--since`: `8s`, `12m`, `2.5h`, `3d`, `20w`."""
    for unit, seconds, end in (("s", 1, 60), ("m", 60, 3600), ("h", 3600, 48 * 3600), ("d", 86400, 100 * 86400)):
        if value < end:
            return f"{value / seconds:.{int(unit == 'h' and value < 10 * 3600)}f}{unit}"
    return f"{value / (7 * 86400):.0f}w"
