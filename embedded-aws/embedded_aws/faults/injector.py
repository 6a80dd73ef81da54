"""The faults that are due and the faults that were injected, in the order of the faults file."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from .faults_file import CallFault, FaultsFile, JobFault

log = logging.getLogger(__name__)
Fault = JobFault | CallFault


@dataclass
class AttemptFault:
    """The fault of one attempt of a job, if it has one."""

    fault: JobFault | None = None
    injected: bool = False
    keys: Callable[[], list[str]] = list  # those of the calls that had a fault during the attempt

    def is_due(self, elapsed: float) -> bool:
        """Return whether to inject the fault into an attempt that has run for `elapsed` seconds."""
        if self.fault is None or self.injected or elapsed < self.fault.after:
            return False
        glob = self.fault.after_call
        return not glob or any(fnmatchcase(key, glob) for key in self.keys())

    def is_kind(self, kind: str) -> bool:
        """Return whether the attempt has a fault of this kind."""
        return self.fault is not None and self.fault.fault == kind


@dataclass
class _DueFault:
    fault: Fault
    left: int


@dataclass
class FaultInjector:
    """Hands out faults to all jobs and all calls, each as often as its `times`."""

    hits: list[dict[str, Any]] = field(default_factory=list)
    _due: list[_DueFault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, faults: FaultsFile) -> None:
        """Replace the faults that are due."""
        with self._lock:
            every: list[Fault] = [*faults.jobs, *faults.calls]
            self._due = [_DueFault(fault, fault.times) for fault in every]

    @contextmanager
    def attempt(self, job: str, job_id: str, number: int) -> Iterator[AttemptFault]:
        """Reserve a fault for an attempt; the next attempt gets it if this one ends before the injection."""
        before = len(self.hits)
        attempt_fault = AttemptFault(self._take_for(job), keys=lambda: self._keys(before))
        try:
            yield attempt_fault
        finally:
            if attempt_fault.fault and attempt_fault.injected:
                self._record(attempt_fault.fault, job=job, job_id=job_id, attempt=number)
            elif attempt_fault.fault:
                self._give_back(attempt_fault.fault)

    def calls(self) -> list[CallFault]:
        """Return the faults of calls that are due."""
        with self._lock:
            return [due.fault for due in self._due if due.left and isinstance(due.fault, CallFault)]

    def take(self, fault: CallFault, **call: Any) -> bool:
        """Count and record one injection into a call; return False if another call has taken the last one."""
        with self._lock:
            due = next((due for due in self._due if due.fault is fault and due.left), None)
            if due is None:
                return False
            due.left -= 1
        self._record(fault, **call)
        return True

    def describe(self) -> dict[str, Any]:
        """Return the answer of GET /_faults."""
        with self._lock:
            due = [{**due.fault.model_dump(exclude_unset=True), "left": due.left} for due in self._due]
            return {"armed": due, "hits": list(self.hits)}

    def _keys(self, first: int) -> list[str]:
        """Return the S3 keys of the calls that had a fault, from one hit on."""
        with self._lock:
            return [hit["key"] for hit in self.hits[first:] if hit.get("key")]

    def _take_for(self, job: str) -> JobFault | None:
        with self._lock:
            for due in self._due:
                if due.left and isinstance(due.fault, JobFault) and fnmatchcase(job, due.fault.job):
                    due.left -= 1
                    return due.fault
        return None

    def _give_back(self, fault: JobFault) -> None:
        with self._lock:
            for due in self._due:
                due.left += due.fault is fault

    def _record(self, fault: Fault, **target: Any) -> None:
        hit = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "fault": fault.fault, **target}
        log.warning("fault injected: %s", hit)
        with self._lock:
            self.hits.append(hit)
