"""`batch:submitJob.sync`: a second try does not time out at once, and who gives up on a job terminates it.

Wraps StateTaskServiceCallback._eval_sync (state_task_service_callback.py:107: all tries of a state share one callback
endpoint, interrupted by the first) and StateTaskServiceBatch._build_sync_resolver (state_task_service_batch.py).
"""

import logging
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.batch.models import batch_backends
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_callback
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_batch import (
    StateTaskServiceBatch,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)

from embedded_aws import place
from embedded_aws.patches import patch

log = logging.getLogger(__name__)
POLL = 0.05  # seconds; cheap, since a look at a running job is a look at a Python object
ENDED = ("SUCCEEDED", "FAILED")

_build_sync_resolver = StateTaskServiceBatch._build_sync_resolver
_eval_sync = StateTaskServiceCallback._eval_sync


class _JobResolver:
    """Asks the Batch API about the job only once it has ended."""

    def __init__(self, job_id: str, ask: Callable[[], Any]) -> None:
        self.job_id, self._ask = job_id, ask
        self._job = batch_backends[place.ACCOUNT][place.REGION].get_job_by_id(job_id)

    def __call__(self) -> Any:
        return self._ask() if self._job is None or self._job.effective_status() in ENDED else None


def _resolver(self: Any, env: Any, **kwargs: Any) -> _JobResolver:
    job_id = env.stack[-1]["JobId"]
    return _JobResolver(job_id, _build_sync_resolver(self, env=env, **kwargs))


def _wait(self: Any, sync_resolver: Callable[[], Any], **kwargs: Any) -> Any:
    outcome = None
    try:
        kwargs |= {"callback_endpoint": None, "heartbeat_endpoint": None}  # `.sync` has no token to wait for
        outcome = _eval_sync(self, sync_resolver=sync_resolver, **kwargs)
        return outcome
    except FailureEventException:
        outcome = "the job failed by itself"
        raise
    finally:
        # Stopped, timed out, or a sibling branch failed: moto leaves the job running.
        if outcome is None and isinstance(sync_resolver, _JobResolver):
            _terminate(sync_resolver.job_id)


def _terminate(job_id: str) -> None:
    try:
        place.client("batch").terminate_job(jobId=job_id, reason="Terminated by AWS Step Functions")
    except (BotoCoreError, ClientError):
        log.exception("could not terminate job %s", job_id)


def install() -> None:
    patch(state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", POLL, source="d2cbad71")
    patch(StateTaskServiceBatch, "_build_sync_resolver", _resolver, source="94c7999d")
    patch(StateTaskServiceCallback, "_eval_sync", _wait, source="60e33127")
