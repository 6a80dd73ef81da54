"""The workers of all functions: bounded in number, and ended when they have been idle for some time or are old.

A call that finds no free worker waits for one. The first worker of a function may exceed the total: a function that
waits for another function, directly or through a state machine, cannot take the last worker that the other one needs.
Only a function that waits for itself can use up its own workers, until its timeout ends the outer calls.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

WORKER_MEMORY = 128 << 20  # bytes; an interpreter with boto3 takes 60 to 100 MiB
SHARE_OF_MEMORY = 4  # workers may take a quarter of it: jobs need the rest
WORKERS_A_CPU = 4  # most of a call is waiting for this AWS to answer
FEWEST = 4
IDLE_SECONDS = 120.0
OLD_SECONDS = 1800.0  # a worker that is never idle grows with what its function caches: Lambda replaces it too
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class PoolWorker(Protocol):
    """What the pool needs of a worker."""

    def alive(self) -> bool:
        """Whether its process runs."""

    def close(self) -> None:
        """End its process; return when it has ended."""


class PoolClosedError(Exception):
    """The server is ending."""


@dataclass(frozen=True)
class Limits:
    """How many workers there may be, how long an idle one stays, and at what age a busy one is replaced."""

    total: int
    per_function: int
    idle_seconds: float = IDLE_SECONDS
    old_seconds: float = OLD_SECONDS

    @classmethod
    def of(cls, total: int) -> "Limits":
        """Give one function half of all workers at most."""
        return cls(total, max(1, (total + 1) // 2))

    @classmethod
    def of_this_machine(cls) -> "Limits":
        """Derive the limits from the memory and the CPUs of this machine."""
        by_memory = memory() // SHARE_OF_MEMORY // WORKER_MEMORY
        return cls.of(max(FEWEST, min(by_memory, WORKERS_A_CPU * (os.cpu_count() or 1))))


def memory(limit_file: Path = CGROUP_LIMIT) -> int:
    """Return the bytes of memory of this machine, or of the container that this process runs in."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(limit_file.read_text()))
    except (OSError, ValueError):  # no cgroup, or its limit is "max"
        return machine


@dataclass(frozen=True)
class _Idle:
    key: str
    worker: Any
    since: float


@dataclass(frozen=True, eq=False)
class _Waiting:
    key: str
    wake: threading.Event


class Pool:
    """Lends each call a worker of its function; `key` identifies a function with its code and its environment."""

    def __init__(
        self,
        limits: Limits,
        start: Callable[[Any], PoolWorker],
        key: Callable[[Any], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start workers with `start`, which gets the function."""
        self._limits, self._start, self._key, self._clock = limits, start, key, clock
        self._live: Counter[str] = Counter()  # workers of each function, idle, busy or starting
        self._idle: list[_Idle] = []  # the longest idle first
        self._busy: set[Any] = set()
        self._started: dict[Any, float] = {}  # of each live worker
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []  # the longest waiting first

    @contextmanager
    def worker(self, function: Any) -> Iterator[Any]:
        """Lend a worker for the block; raise PoolClosedError after close()."""
        key = self._key(function)
        worker = self._borrow(key, function)
        try:
            yield worker
        finally:
            self._give_back(key, worker)

    def watch(self) -> None:
        """End idle workers in a thread from now on."""
        threading.Thread(target=self._watch, name="idle-workers", daemon=True).start()

    def end_idle(self) -> None:
        """End every worker that has been idle for longer than the limit."""
        before = self._clock() - self._limits.idle_seconds
        with self._lock:
            expired = [idle for idle in self._idle if idle.since <= before]
            self._idle = [idle for idle in self._idle if idle.since > before]
        self._end(expired)

    def close(self) -> None:
        """End all workers, busy ones too; calls that wait for a worker get PoolClosedError."""
        with self._lock:
            self._closed.set()
            workers = [*(idle.worker for idle in self._idle), *self._busy]
            self._idle = []
            self._wake_all()
        for worker in workers:
            worker.close()

    def _watch(self) -> None:
        while not self._closed.wait(self._limits.idle_seconds / 10):
            self.end_idle()

    def _borrow(self, key: str, function: Any) -> Any:
        evicted: list[_Idle] = []
        while True:
            with self._lock:
                if idle := self._take_idle(key):
                    self._busy.add(idle.worker)
                    return idle.worker
                if self._reserve(key, evicted):
                    break
                waiting = _Waiting(key, threading.Event())
                self._waiting.append(waiting)
            # An event for each call: with one for all, hundreds of threads would wake for each worker.
            waiting.wake.wait()
        self._end(evicted)  # before the new worker starts, so that the limits hold
        return self._start_one(key, function)

    def _take_idle(self, key: str) -> _Idle | None:
        """Take the worker of the function that was used last."""
        if self._closed.is_set():
            raise PoolClosedError
        latest = next((idle for idle in reversed(self._idle) if idle.key == key), None)
        if latest:
            self._idle.remove(latest)
        return latest

    def _reserve(self, key: str, evicted: list[_Idle]) -> bool:
        """Count a new worker of a function, if the limits allow it; evict the longest idle one if necessary."""
        if self._live[key] >= self._limits.per_function:
            return False
        if self._live.total() >= self._limits.total:
            if self._idle:
                evicted.append(self._idle.pop(0))
            elif self._live[key]:
                return False
        self._live[key] += 1
        return True

    def _start_one(self, key: str, function: Any) -> Any:
        try:
            worker = self._start(function)
        except BaseException:
            self._forget(key)
            raise
        with self._lock:
            self._busy.add(worker)
            self._started[worker] = self._clock()
            closed = self._closed.is_set()
        if closed:  # it started while close() was ending the others
            worker.close()
        return worker

    def _give_back(self, key: str, worker: Any) -> None:
        keep = worker.alive() and self._clock() - self._started[worker] < self._limits.old_seconds
        if not keep:
            worker.close()
        with self._lock:
            self._busy.discard(worker)
            if keep:
                self._idle.append(_Idle(key, worker, self._clock()))
            else:
                self._live[key] -= 1
                del self._started[worker]
            self._wake_one(key)

    def _end(self, workers: list[_Idle]) -> None:
        for idle in workers:
            idle.worker.close()
            self._started.pop(idle.worker)
            self._forget(idle.key)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._live[key] -= 1
            self._wake_all()

    def _wake_one(self, key: str) -> None:
        """Wake one call that waits for this function, else one of another, which can evict the idle worker."""
        waiting = next((call for call in self._waiting if call.key == key), None) or next(iter(self._waiting), None)
        if waiting:
            self._waiting.remove(waiting)
            waiting.wake.set()

    def _wake_all(self) -> None:
        for call in self._waiting:
            call.wake.set()
        self._waiting = []
