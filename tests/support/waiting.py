"""Wait for events that another process causes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SHORTEST, LONGEST = 0.02, 0.4  # seconds between two checks: a tenth of the time waited so far


def eventually(check: Callable[[], Any], what: Callable[[], str] | str, timeout: float = 300.0) -> Any:
    """Return the first true answer of `check`; fail after `timeout` seconds.

    On an idle machine every wait of the tests takes less than a tenth of the default.
    """
    start = time.monotonic()
    while (waited := time.monotonic() - start) < timeout:
        if answer := check():
            return answer
        time.sleep(min(max(SHORTEST, waited / 10), LONGEST))
    raise AssertionError(f"waited {timeout:.0f} s in vain for {what if isinstance(what, str) else what()}")
