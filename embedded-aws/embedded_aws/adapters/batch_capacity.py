"""The vCPUs of the compute environment: a job is RUNNABLE until they are free. moto starts every job at once."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Capacity:
    """Grants vCPUs first come, first served, as a Batch queue of one priority does."""

    def __init__(self, vcpus: float) -> None:
        """Divide `vcpus` among the jobs."""
        self._total = self._free = vcpus
        self._waiting: deque[threading.Event] = deque()  # one for each job; only the first one can be granted any
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, vcpus: float, cancelled: Callable[[], bool], wake: threading.Event) -> Iterator[bool]:
        """Hold vCPUs for the block; yield False if the job was cancelled while it waited.

        Each job has its own `wake` event; set it to cancel the job. A job that requests more vCPUs than exist gets
        all of them.
        """
        share = min(vcpus, self._total)
        if not self._take(share, cancelled, wake):
            yield False
            return
        try:
            yield True
        finally:
            with self._lock:
                self._free += share
                self._wake_first()

    def _take(self, share: float, cancelled: Callable[[], bool], wake: threading.Event) -> bool:
        with self._lock:
            self._waiting.append(wake)
        try:
            while not cancelled():
                wake.clear()  # before the check, so that no change after it is lost
                with self._lock:
                    if self._waiting[0] is wake and self._free >= share:
                        self._free -= share
                        return True
                if not cancelled():
                    wake.wait()
            return False
        finally:
            with self._lock:
                self._waiting.remove(wake)
                self._wake_first()

    def _wake_first(self) -> None:
        """Wake the first job alone: with one event for all, every change would wake hundreds of threads."""
        if self._waiting:
            self._waiting[0].set()
