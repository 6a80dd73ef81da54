"""The life of a Batch job: queue, attempts, timeout, termination.

Replaces moto.batch.models.Job; BatchBackend.submit_job reads the name at each call.
"""

import copy
import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import moto.batch.models as moto_batch
from moto.batch.utils import JobStatus

from embedded_aws.faults import AttemptFault, FaultInjector
from embedded_aws.patches import patch
from embedded_aws.runners import Attempt, Runner, StartError

from . import batch_arrays, batch_dependencies, batch_events, batch_faults, batch_submissions
from .batch_capacity import Capacity
from .batch_describe import container_details, describe
from .batch_logs import JobLog
from .batch_retries import EXITED, AttemptResult, should_retry
from .batch_specs import job_spec, requirement

log = logging.getLogger(__name__)
POLL = 0.1  # seconds between two checks of a running job; the first checks come sooner


@dataclass(frozen=True)
class BatchHost:
    """What all jobs share."""

    runner: Runner
    capacity: Capacity
    volumes: Path
    injector: FaultInjector


class BatchJob(moto_batch.Job):  # type: ignore[misc]  # moto is untyped
    """A job whose status follows its attempts; in moto each description of a job advances its status."""

    host: BatchHost

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take moto's arguments."""
        super().__init__(*args, **kwargs)
        self._state = str(JobStatus.SUBMITTED.value)
        self.container_overrides: dict[str, Any] = copy.deepcopy(self.container_overrides)
        strategy = batch_submissions.retry_strategy() or self.job_definition.retry_strategy
        self.retry_strategy: dict[str, Any] = strategy or {"attempts": 1}
        self.is_cancelled = self.is_terminated = False
        self.ended = threading.Event()
        self._wake = threading.Event()  # while the job waits for vCPUs
        batch_arrays.copy_tags(self)

    @property
    def status(self) -> str:
        """Return the status that Batch reports."""
        return self._state

    @status.setter
    def status(self, value: Any) -> None:
        state = str(getattr(value, "value", value))
        if state in batch_arrays.ENDED and not self.job_stopped:
            return  # moto's description of a parent, between the end of its last child and its own
        # The constructor of ManagedState sets a status before the job has one.
        if state != self.__dict__.get("_state") and "_state" in self.__dict__:
            self._state = state
            batch_events.emit_state_change(self)
            if batch_arrays.parent(self) is not None:
                batch_arrays.report_status(self)

    def run(self) -> None:
        """Run the job to its end, in a thread of its own."""
        try:
            self._finish(self._run_attempts())
        except Exception:  # a .sync task waits for a final status
            log.exception("batch job %s", self.job_id)
            self._finish(AttemptResult(None, "internal error of the embedded AWS, see its log"))

    def terminate(self, reason: str) -> None:
        """Terminate the job and its children."""
        for child in batch_arrays.children(self):
            child.terminate(reason)
        if not self.job_stopped:
            self.is_terminated = True
            super().terminate(reason)
            self._wake.set()

    def describe(self) -> dict[str, Any]:
        """Return the answer of DescribeJobs."""
        return describe(self, super().describe())

    def describe_short(self) -> dict[str, Any]:
        """Return the entry of ListJobs."""
        found = {"arrayProperties": array} if (array := batch_arrays.properties(self)) else {}
        return {**super().describe_short(), **found}

    def _container_details(self) -> dict[str, Any]:
        return container_details(self)

    def _run_attempts(self) -> AttemptResult:
        self.status = JobStatus.PENDING
        if failure := self._wait_for_dependencies():
            return failure
        for number in count(1):
            result = self._place(number)
            if not should_retry(self.retry_strategy, number, result):
                return result
        raise AssertionError("unreachable: count() does not end")

    def _wait_for_dependencies(self) -> AttemptResult | None:
        while (state := batch_dependencies.state(self)) == "waiting" and not self.stop:
            time.sleep(POLL)
        if self.stop:
            return AttemptResult(None, self.job_stopped_reason, final=True)
        return AttemptResult(None, "Dependent Job failed", final=True) if state == "failed" else None

    def _place(self, number: int) -> AttemptResult:
        self.status = JobStatus.RUNNABLE
        with self.host.injector.attempt(batch_arrays.full_name(self), self.job_id, number) as attempt_fault:
            if cancelled := batch_faults.cancel_in_queue(attempt_fault):
                self.is_cancelled = True
                return cancelled
            vcpus = float(requirement(self, "VCPU"))
            with self.host.capacity.hold(vcpus, lambda: self.stop, self._wake) as has_vcpus:
                if has_vcpus:
                    return self._attempt(number, attempt_fault)
                return AttemptResult(None, self.job_stopped_reason, final=True)

    def _attempt(self, number: int, attempt_fault: AttemptFault) -> AttemptResult:
        self.status = JobStatus.STARTING
        self.job_started_at = datetime.now()
        output = JobLog(self._log_backend, self.job_definition)
        self.log_stream_name = output.stream
        self._start_attempt()
        result = self._execute(number, output, attempt_fault)
        self._record(result)
        return result

    def _execute(self, number: int, output: JobLog, attempt_fault: AttemptFault) -> AttemptResult:
        spec = job_spec(self, number, self.host.runner.host, self.host.volumes)
        try:
            batch_faults.fail_start(attempt_fault, spec)
            attempt = self.host.runner.start(spec)
        except StartError as error:
            return AttemptResult(None, "Task failed to start", str(error))
        try:
            self.status = JobStatus.RUNNING
            result = self._watch(attempt, output, attempt_fault)
            output.write(attempt.new_lines())
            return result
        finally:
            attempt.close()

    def _watch(self, attempt: Attempt, output: JobLog, attempt_fault: AttemptFault) -> AttemptResult:
        started, pause = time.monotonic(), 0.01
        limit = self._get_attempt_duration() or float("inf")
        while True:
            output.write(attempt.new_lines())
            elapsed = time.monotonic() - started
            if attempt_fault.is_due(elapsed):
                limit = batch_faults.time_limit(attempt_fault) or limit
                if result := batch_faults.inject(attempt_fault, attempt):
                    return result
            if (code := attempt.exit_code()) is not None:
                return AttemptResult(code, EXITED, attempt.reason())
            if self.stop:
                return _stop(attempt, self.job_stopped_reason)
            if elapsed > limit:
                return _stop(attempt, "Job attempt duration exceeded timeout")
            time.sleep(pause)
            pause = min(pause * 1.5, POLL)

    def _record(self, result: AttemptResult) -> None:
        self.job_stopped_at = datetime.now()
        self._stop_attempt()
        self.latest_attempt["statusReason"] = result.status_reason
        container = self.latest_attempt["container"]
        if result.exit_code is not None:
            container["exitCode"] = result.exit_code
        if result.reason:
            container["reason"] = result.reason

    def _finish(self, result: AttemptResult) -> None:
        self.exit_code = result.exit_code
        self.job_stopped_reason = result.status_reason
        self._mark_stopped(success=result.exit_code == 0 and not result.final)

    def _mark_stopped(self, success: bool = True) -> None:
        try:
            super()._mark_stopped(success)
        finally:  # whatever the event of the end meets: a state waits for it
            self.ended.set()


def _stop(attempt: Attempt, reason: str | None) -> AttemptResult:
    attempt.stop()
    return AttemptResult(attempt.exit_code(), reason, attempt.reason(), final=True)


def install() -> None:
    """Patch moto."""
    patch(moto_batch, "Job", BatchJob, source="f5ebc21c")
    batch_submissions.install()
