"""The vCPUs of the compute environment: a job is RUNNABLE until they are free. moto starts every job at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL = 0.2  # seconds between two looks at whether a waiting job was cancelled


class Capacity:
    """First come, first served, as a Batch queue of one priority."""

    def __init__(self, vcpus: float) -> None:
        self._total = self._free = vcpus
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, vcpus: float, cancelled: Callable[[], bool]) -> Iterator[bool]:
        """Yields False when the job was cancelled while it waited. A job wider than the machine gets the machine."""
        width = min(vcpus, self._total)
        if not self._take(width, cancelled):
            yield False
            return
        try:
            yield True
        finally:
            with self._changed:
                self._free += width
                self._changed.notify_all()

    def _take(self, width: float, cancelled: Callable[[], bool]) -> bool:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while not cancelled():
                    if self._waiting[0] is ticket and self._free >= width:
                        self._free -= width
                        return True
                    self._changed.wait(POLL)
                return False
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
