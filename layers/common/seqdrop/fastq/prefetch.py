"""Work in a thread beside the one that uses it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

Item = TypeVar("Item")
DEPTH = 2  # items that wait: enough that neither side stands still, few enough for flat memory


def prefetch(items: Generator[Item]) -> Generator[Item]:
    """What `items` yields, the next ones made while one is used."""
    with closing(items), ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, items, None) for _ in range(DEPTH))
        try:
            while (item := coming.popleft().result()) is not None:
                coming.append(thread.submit(next, items, None))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
