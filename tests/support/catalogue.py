"""Describe each failure beside its test, and write `docs/failures.md` from these descriptions."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests/faults"
DOCUMENT = ROOT / "docs/failures.md"
OPENING = """\
# Failures

What can go wrong, what you see, what the system does about it, and what you do. Every row is tested: `make failures`
writes this page from `tests/faults`. For one run, `seqdrop why RUN` shows what failed and what to do.
[glossary.md](glossary.md) explains the terms.
"""
# Marks another test of a failure that already has a row.
more = pytest.mark.more
HEADINGS = ("What happens", "What you see", "What the system does", "What you do")


def case(*, happens: str, see: str, does: str, do: str = "Nothing.") -> pytest.MarkDecorator:
    """Mark a test with its row: the failure, what the user sees, what the system does, what the user does."""
    return pytest.mark.case(happens=happens, see=see, does=does, do=do)


def document() -> str:
    """Return the whole page."""
    return "\n".join([OPENING, *(section(module) for module in modules())])


def modules() -> Iterator[ModuleType]:
    """Import the modules of `tests/faults`, by name."""
    for path in sorted(TESTS.glob("test_*.py")):
        yield importlib.import_module(path.stem)


def section(module: ModuleType) -> str:
    """Return the section of a module: the first line of its docstring, then its rows in source order."""
    title = (module.__doc__ or "").splitlines()[0].rstrip(".")
    lines = [row(*HEADINGS), row(*["---"] * len(HEADINGS))]
    functions = [function for _, function in inspect.getmembers(module, inspect.isfunction)]
    tests = [test for test in functions if test.__module__ == module.__name__ and test.__name__.startswith("test_")]
    for test in sorted(tests, key=lambda test: test.__code__.co_firstlineno):
        cells = [mark.kwargs for mark in getattr(test, "pytestmark", []) if mark.name == "case"]
        lines += [row(*(texts[name] for name in ("happens", "see", "does", "do"))) for texts in cells]
    return "\n".join([f"## {title}", "", *lines, ""])


def row(*cells: str) -> str:
    """Format one row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(ROOT / "tests"), str(ROOT / "embedded-aws/tests")]
    DOCUMENT.write_text(document())
