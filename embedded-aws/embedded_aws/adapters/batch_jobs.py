"""What a Batch job lives through: queue, attempts, timeout, termination.

Replaces moto.batch.models.Job, whose name BatchBackend.submit_job looks up at each call.
"""

import copy
import logging
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import moto.batch.models as moto_batch
from moto.batch.utils import JobStatus

from embedded_aws.faults import Armed, Mishap
from embedded_aws.patches import patch
from embedded_aws.runners import Attempt, Runner, StartError

from . import batch_dependencies, batch_events, batch_faults, batch_submissions
from .batch_capacity import Capacity
from .batch_describe import container_details, described
from .batch_logs import JobLog
from .batch_retries import EXITED, Ending, wants_another
from .batch_specs import job_spec, requirement

log = logging.getLogger(__name__)
POLL = 0.1  # seconds between two looks at a running job, once it is no longer new


@dataclass(frozen=True)
class Machine:
    """What all jobs share."""

    runner: Runner
    capacity: Capacity
    volumes: Path
    faults: Armed


class BatchJob(moto_batch.Job):  # type: ignore[misc]  # moto is untyped
    """Its status moves by what happens; in moto each look moves it on."""

    machine: Machine

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._state = str(JobStatus.SUBMITTED.value)
        self.container_overrides: dict[str, Any] = copy.deepcopy(self.container_overrides)
        strategy = batch_submissions.retry_strategy() or self.job_definition.retry_strategy
        self.retry_strategy: dict[str, Any] = strategy or {"attempts": 1}
        self.is_cancelled = self.is_terminated = False

    @property
    def status(self) -> str:
        return self._state

    @status.setter
    def status(self, value: Any) -> None:
        state = str(getattr(value, "value", value))
        # ManagedState's constructor sets a status before there is anything to tell.
        if state != self.__dict__.get("_state") and "_state" in self.__dict__:
            self._state = state
            batch_events.job_changed(self)

    def run(self) -> None:
        try:
            self._finish(self._last_ending())
        except Exception:  # a .sync task waits for this thread: it must end in a status
            log.exception("batch job %s", self.job_id)
            self._finish(Ending(None, "internal error of the embedded AWS, see its log"))

    def terminate(self, reason: str) -> None:
        for child in self._child_jobs or []:
            child.terminate(reason)
        if not self.job_stopped:
            self.is_terminated = True
            super().terminate(reason)

    def effective_status(self) -> str:
        """An array's parent has no thread of its own: its status is its children's."""
        if self._child_jobs and not self.job_stopped:
            states = {child.status for child in self._child_jobs}
            if states <= {"SUCCEEDED", "FAILED"}:
                self._mark_stopped(success="FAILED" not in states)
            elif states != {"SUBMITTED"}:
                self.status = JobStatus.PENDING
        return self._state

    def describe(self) -> dict[str, Any]:
        self.effective_status()
        return described(self, super().describe())

    def _container_details(self) -> dict[str, Any]:
        return container_details(self)

    def _last_ending(self) -> Ending:
        self.status = JobStatus.PENDING
        if failed := self._wait_for_others():
            return failed
        for number in count(1):
            ending = self._place(number)
            if not wants_another(self.retry_strategy, number, ending):
                return ending
        raise AssertionError("unreachable: count() does not end")

    def _wait_for_others(self) -> Ending | None:
        while (state := batch_dependencies.state(self)) == "waiting" and not self.stop:
            time.sleep(POLL)
        if self.stop:
            return Ending(None, self.job_stopped_reason, final=True)
        return Ending(None, "Dependent Job failed", final=True) if state == "failed" else None

    def _place(self, number: int) -> Ending:
        self.status = JobStatus.RUNNABLE
        with self.machine.faults.attempt(self.job_name, self.job_id, number) as mishap:
            if unplaced := batch_faults.unplaced(mishap):
                self.is_cancelled = True
                return unplaced
            with self.machine.capacity.hold(float(requirement(self, "VCPU")), lambda: self.stop) as placed:
                return self._attempt(number, mishap) if placed else Ending(None, self.job_stopped_reason, final=True)

    def _attempt(self, number: int, mishap: Mishap) -> Ending:
        self.status = JobStatus.STARTING
        self.job_started_at = datetime.now()
        output = JobLog(self._log_backend, self.job_definition)
        self.log_stream_name = output.stream
        self._start_attempt()
        ending = self._execute(number, output, mishap)
        self._record(ending)
        return ending

    def _execute(self, number: int, output: JobLog, mishap: Mishap) -> Ending:
        spec = job_spec(self, number, self.machine.runner.host, self.machine.volumes)
        try:
            batch_faults.before_start(mishap, spec)
            running = self.machine.runner.start(spec)
        except StartError as error:
            return Ending(None, "Task failed to start", str(error))
        try:
            self.status = JobStatus.RUNNING
            ending = self._watch(running, output, mishap)
            output.write(running.new_lines())
            return ending
        finally:
            running.close()

    def _watch(self, running: Attempt, output: JobLog, mishap: Mishap) -> Ending:
        started, pause = time.monotonic(), 0.01
        limit = self._get_attempt_duration() or float("inf")
        while True:
            output.write(running.new_lines())
            elapsed = time.monotonic() - started
            if mishap.is_now(elapsed):
                limit = batch_faults.own_limit(mishap) or limit
                if struck := batch_faults.strike(mishap, running):
                    return struck
            if (code := running.exit_code()) is not None:
                return Ending(code, EXITED, running.reason())
            if self.stop:
                return _stopped(running, self.job_stopped_reason)
            if elapsed > limit:
                return _stopped(running, "Job attempt duration exceeded timeout")
            time.sleep(pause)
            pause = min(pause * 1.5, POLL)

    def _record(self, ending: Ending) -> None:
        self.job_stopped_at = datetime.now()
        self._stop_attempt()
        self.latest_attempt["statusReason"] = ending.status_reason
        container = self.latest_attempt["container"]
        if ending.exit_code is not None:
            container["exitCode"] = ending.exit_code
        if ending.reason:
            container["reason"] = ending.reason

    def _finish(self, ending: Ending) -> None:
        self.exit_code = ending.exit_code
        self.job_stopped_reason = ending.status_reason
        self._mark_stopped(success=ending.exit_code == 0 and not ending.final)


def _stopped(running: Attempt, reason: str | None) -> Ending:
    running.stop()
    return Ending(running.exit_code(), reason, running.reason(), final=True)


def install() -> None:
    patch(moto_batch, "Job", BatchJob, source="f5ebc21c")
    batch_submissions.install()
