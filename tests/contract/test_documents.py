"""What is written by a program is what the program would write now."""

from __future__ import annotations

import pytest
from support import catalogue


def test_every_failure_in_the_documentation_is_one_that_a_test_shows() -> None:
    assert catalogue.DOCUMENT.read_text() == catalogue.written(), "run `make failures`"


@pytest.mark.parametrize("module", [*catalogue.modules()], ids=lambda module: module.__name__)
def test_every_fault_has_its_line(module: object) -> None:
    tests = [found for name, found in vars(module).items() if name.startswith("test_") and callable(found)]
    untold = [test.__name__ for test in tests if len(marks(test) & {"case", "more"}) != 1]
    assert not untold, "a test in tests/faults has neither @case nor @more, or both"


def marks(test: object) -> set[str]:
    return {mark.name for mark in getattr(test, "pytestmark", [])}
