"""The vCPUs of the compute environment: a job is RUNNABLE until they are free. moto starts every job at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL = 0.2  # seconds between two checks whether a waiting job was cancelled


class Capacity:
    """Grants vCPUs first come, first served, as a Batch queue of one priority does."""

    def __init__(self, vcpus: float) -> None:
        """Divide `vcpus` among the jobs."""
        self._total = self._free = vcpus
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, vcpus: float, cancelled: Callable[[], bool]) -> Iterator[bool]:
        """Hold vCPUs for the block; yield False if the job was cancelled while it waited.

        A job that asks for more than there are gets all of them.
        """
        share = min(vcpus, self._total)
        if not self._take(share, cancelled):
            yield False
            return
        try:
            yield True
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()

    def _take(self, share: float, cancelled: Callable[[], bool]) -> bool:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while not cancelled():
                    if self._waiting[0] is ticket and self._free >= share:
                        self._free -= share
                        return True
                    self._changed.wait(POLL)
                return False
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
