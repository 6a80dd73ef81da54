"""The faults still to come and those that struck. Each strikes in the order it was written, as often as it says."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from .document import CallFault, Document, JobFault

log = logging.getLogger(__name__)
Fault = JobFault | CallFault


@dataclass
class Mishap:
    """What is to befall one attempt of a job; without a fault, nothing."""

    fault: JobFault | None = None
    struck: bool = False

    def is_now(self, elapsed: float) -> bool:
        """Whether it is to strike an attempt that has run for so many seconds."""
        return self.fault is not None and not self.struck and elapsed >= self.fault.after

    def called(self, kind: str) -> bool:
        return self.fault is not None and self.fault.fault == kind


@dataclass
class _Order:
    fault: Fault
    left: int


@dataclass
class Armed:
    """Shared by all jobs and all calls."""

    hits: list[dict[str, Any]] = field(default_factory=list)
    _orders: list[_Order] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, document: Document) -> None:
        """In place of what is still to come."""
        with self._lock:
            every: list[Fault] = [*document.jobs, *document.calls]
            self._orders = [_Order(fault, fault.times) for fault in every]

    @contextmanager
    def attempt(self, job: str, job_id: str, number: int) -> Iterator[Mishap]:
        """What is kept for this attempt; it goes to the next one where this ended before it struck."""
        mishap = Mishap(self._take_for(job))
        try:
            yield mishap
        finally:
            if mishap.fault and mishap.struck:
                self._tell(mishap.fault, job=job, job_id=job_id, attempt=number)
            elif mishap.fault:
                self._give_back(mishap.fault)

    def calls(self) -> list[CallFault]:
        """Those that still can strike a call."""
        with self._lock:
            return [order.fault for order in self._orders if order.left and isinstance(order.fault, CallFault)]

    def strike(self, fault: CallFault, **where: Any) -> bool:
        """False where another call was quicker."""
        with self._lock:
            order = next((order for order in self._orders if order.fault is fault and order.left), None)
            if order is None:
                return False
            order.left -= 1
        self._tell(fault, **where)
        return True

    def described(self) -> dict[str, Any]:
        with self._lock:
            left = [{**order.fault.model_dump(exclude_unset=True), "left": order.left} for order in self._orders]
            return {"armed": left, "hits": list(self.hits)}

    def _take_for(self, job: str) -> JobFault | None:
        with self._lock:
            for order in self._orders:
                if order.left and isinstance(order.fault, JobFault) and fnmatchcase(job, order.fault.job):
                    order.left -= 1
                    return order.fault
        return None

    def _give_back(self, fault: JobFault) -> None:
        with self._lock:
            for order in self._orders:
                order.left += order.fault is fault

    def _tell(self, fault: Fault, **where: Any) -> None:
        hit = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "fault": fault.fault, **where}
        log.warning("a fault struck: %s", hit)
        with self._lock:
            self.hits.append(hit)
