"""Fixtures of the tests of embedded-aws."""

import os
import signal

from embedded_server import aws, start_server  # noqa: F401


def pytest_configure() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        # xdist's processes ignore SIGINT, and every server that a test starts would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
