"""Waiting for what comes about by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.05  # seconds between two looks


def eventually(look: Callable[[], Any], what: Callable[[], str] | str, patience: float = 300.0) -> Any:
    """The first true answer of `look`; nothing that is waited for takes a tenth of this on an idle machine."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(PAUSE)
    raise AssertionError(f"waited {patience:.0f} s in vain for {what if isinstance(what, str) else what()}")
