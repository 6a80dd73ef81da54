"""What can be chosen on pytest's command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sfn-endpoint",
        metavar="URL",
        help="run the paths through the state machines on Step Functions Local there, not on the embedded AWS",
    )


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A step that runs in this process hears signals in its own way, and at its end none: not what comes after it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)
