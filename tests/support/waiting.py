"""Wait for events that another process causes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.05  # seconds between two checks


def eventually(check: Callable[[], Any], what: Callable[[], str] | str, timeout: float = 300.0) -> Any:
    """Return the first true answer of `check`; fail after `timeout` seconds.

    On an idle machine every wait of the tests takes less than a tenth of the default.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if answer := check():
            return answer
        time.sleep(PAUSE)
    raise AssertionError(f"waited {timeout:.0f} s in vain for {what if isinstance(what, str) else what()}")
