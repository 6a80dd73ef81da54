"""Generated documents are current."""

from __future__ import annotations

import pytest
from support import catalogue


def test_the_table_of_failures_matches_the_tests() -> None:
    assert catalogue.DOCUMENT.read_text() == catalogue.document(), "run `make failures`"


@pytest.mark.parametrize("module", [*catalogue.modules()], ids=lambda module: module.__name__)
def test_every_test_of_a_fault_is_in_the_table_or_marked_as_another_test(module: object) -> None:
    tests = [member for name, member in vars(module).items() if name.startswith("test_") and callable(member)]
    unmarked = [test.__name__ for test in tests if len(marks(test) & {"case", "more"}) != 1]
    assert not unmarked, "every test in tests/faults needs either @case or @more"


def marks(test: object) -> set[str]:
    return {mark.name for mark in getattr(test, "pytestmark", [])}
