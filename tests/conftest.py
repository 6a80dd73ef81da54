"""Options of pytest's command line, and what test processes of `make test` share: order of the files, signals."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest

# Here and not in the folders of their tests: each process of `make test` deploys one stack for all of them.
from support.pipeline_stacks import bwa_stack, original_stack, sample, stack  # noqa: F401

# In the order in which `make test` starts them: the longest file does not begin when all others are done.
LONGEST_FIRST = (
    "tests/containers/test_images.py",
    "tests/pipeline/test_public_data.py",
    "tests/pipeline/test_runs.py",
    "tests/containers/test_invoke.py",
    "tests/faults/test_many.py",
    "tests/faults/test_hosts.py",
    "tests/faults/test_service_calls.py",
    "embedded-aws/tests/test_embedded_server.py",
    "tests/pipeline",
    "tests/contract/test_paths.py",
    "tests/contract/test_gates.py",
    "tests/faults/test_runs_that_fail.py",
    "embedded-aws/tests/test_embedded_faults.py",
    "tests/faults",
    "embedded-aws",
    "tests/contract",
)


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all tests are collected: looking for garbage after each import takes a fifth of that time
    if "PYTEST_XDIST_WORKER" in os.environ:
        # xdist's processes ignore SIGINT, and every program that a test starts would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _turn(item.path.relative_to(config.rootpath).as_posix()))


def _turn(path: str) -> int:
    return next((turn for turn, start in enumerate(LONGEST_FIRST) if path.startswith(start)), len(LONGEST_FIRST))


def pytest_collection_finish() -> None:
    gc.freeze()  # the modules and tests stay to the end: the garbage collector need not look through them again
    gc.enable()


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
