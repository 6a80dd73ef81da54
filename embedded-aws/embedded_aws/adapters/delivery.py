"""Work that AWS does after its answer: notifications, event targets. moto does it inside the caller's request."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)
THREADS = 8

_queue: queue.SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = queue.SimpleQueue()


def enqueue(work: Callable[..., None], *arguments: Any) -> None:
    """Run `work` in a thread, soon."""
    _queue.put((work, arguments))


def _work() -> None:
    while True:
        work, arguments = _queue.get()
        try:
            work(*arguments)
        except Exception:  # a failure must not end the thread
            log.exception("%s failed", work.__name__)


def start() -> None:
    """Start the threads: daemons, so that queued work does not keep the server from ending."""
    for number in range(THREADS):
        threading.Thread(target=_work, name=f"delivery-{number}", daemon=True).start()
