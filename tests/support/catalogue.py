"""What can go wrong, told beside the test that shows it; `docs/failures.md` is made of these words."""

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
# What can go wrong

Every line of these tables is shown by a test of its name in `tests/faults`; `make failures` writes this page from them.
`seqdrop why RUN` tells of a run what this page tells of all.
"""
# Another test of a case that has its line above, or in the section of another layer.
more = pytest.mark.more
HEADINGS = ("What happens", "What you see", "What the system does", "What you do")


def case(*, happens: str, see: str, does: str, do: str = "Nothing.") -> pytest.MarkDecorator:
    """A line of the table: what can happen, what a person sees, what the system does, what the person does."""
    return pytest.mark.case(happens=happens, see=see, does=does, do=do)


def written() -> str:
    """The whole document."""
    return "\n".join([OPENING, *(section(module) for module in modules())])


def modules() -> Iterator[ModuleType]:
    for path in sorted(TESTS.glob("test_*.py")):
        yield importlib.import_module(path.stem)


def section(module: ModuleType) -> str:
    """A module's cases in the order they are written, under the first line of its docstring."""
    title = (module.__doc__ or "").splitlines()[0].rstrip(".")
    lines = [row(*HEADINGS), row(*["---"] * len(HEADINGS))]
    functions = (found for _, found in inspect.getmembers(module, inspect.isfunction))
    tests = [found for found in functions if found.__module__ == module.__name__ and found.__name__.startswith("test_")]
    for test in sorted(tests, key=lambda found: found.__code__.co_firstlineno):
        told = [mark.kwargs for mark in getattr(test, "pytestmark", []) if mark.name == "case"]
        lines += [row(*(words[name] for name in ("happens", "see", "does", "do"))) for words in told]
    return "\n".join([f"## {title}", "", *lines, ""])


def row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(ROOT / "tests"), str(ROOT / "embedded-aws/tests")]
    DOCUMENT.write_text(written())
