"""Compute the next items of a generator in a background thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

Item = TypeVar("Item")
DEPTH = 2  # items that wait: enough that neither side is idle, few enough that memory use stays flat


def prefetch(items: Generator[Item]) -> Generator[Item]:
    """Yield the items, and compute the next ones while the caller uses the current one."""
    with closing(items), ThreadPoolExecutor(1) as thread:
        queue = deque(thread.submit(next, items, None) for _ in range(DEPTH))
        try:
            while (item := queue.popleft().result()) is not None:
                queue.append(thread.submit(next, items, None))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
