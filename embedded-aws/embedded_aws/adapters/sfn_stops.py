"""Wait for an event that a stop of the execution sets too: no state has to look again and again whether it goes on.

moto sets the event of an environment and clears it at once (stepfunctions/parser/asl/eval/environment.py: set_stop and
others), which a thread that is about to wait misses. The wait puts its own event there, which stays set.
"""

import threading
from typing import Any


class _Signal:
    """The event of an environment while a thread waits: it sets the event of the wait, for good."""

    def __init__(self, event: threading.Event) -> None:
        self.set = event.set

    def clear(self) -> None:
        """Do nothing: the thread that waits may not have seen it yet."""


def wait(env: Any, event: threading.Event, seconds: float | None = None) -> None:
    """Return when `event` is set, when the execution no longer runs in this environment, or after `seconds`.

    A stop sets `event`.
    """
    before = env.program_state_event
    env.program_state_event = _Signal(event)
    try:
        if env.is_running():  # after the replacement: a stop changes the state first, then sets the event
            event.wait(seconds)
    finally:
        env.program_state_event = before
