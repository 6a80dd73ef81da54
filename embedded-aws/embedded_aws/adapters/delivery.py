"""Work that AWS does after it has answered: notifications, event targets. moto does it inside the caller's request."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)
THREADS = 8

_waiting: queue.SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = queue.SimpleQueue()


def later(work: Callable[..., None], *arguments: Any) -> None:
    _waiting.put((work, arguments))


def _work() -> None:
    while True:
        work, arguments = _waiting.get()
        try:
            work(*arguments)
        except Exception:  # one bad delivery must not end the thread that makes the next
            log.exception("%s failed", work.__name__)


def start() -> None:
    """Daemon threads, so that what is still waiting does not keep the server from ending."""
    for number in range(THREADS):
        threading.Thread(target=_work, name=f"delivery-{number}", daemon=True).start()
