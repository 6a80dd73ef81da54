"""What can be chosen on pytest's command line."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sfn-endpoint",
        metavar="URL",
        help="run the paths through the state machines on Step Functions Local there, not on the embedded AWS",
    )
