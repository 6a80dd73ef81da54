"""`batch:submitJob.sync`: a retry does not time out at once, and a state that ends before its job terminates the job.

Wraps StateTaskServiceCallback._eval_sync (state_task_service_callback.py:107: all attempts of a state share one
callback endpoint, which the first one interrupts) and StateTaskServiceBatch._build_sync_resolver
(state_task_service_batch.py).
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

from embedded_aws import aws
from embedded_aws.patches import patch

from . import sfn_clients, sfn_stops

log = logging.getLogger(__name__)
PAUSE = 0.05  # seconds between two looks at a job that has ended, but is not described yet
ENDED = ("SUCCEEDED", "FAILED")

_build_sync_resolver = StateTaskServiceBatch._build_sync_resolver
_eval_sync = StateTaskServiceCallback._eval_sync


class _JobResolver:
    """Waits for the end of the job, without a look in between, and calls the Batch API only then."""

    def __init__(self, job_id: str, env: Any, resolve: Callable[[], Any]) -> None:
        self.job_id, self._env, self._resolve = job_id, env, resolve
        self._job = batch_backends[aws.ACCOUNT][aws.REGION].get_job_by_id(job_id)

    def __call__(self) -> Any:
        if self._job is not None:
            sfn_stops.wait(self._env, self._job.ended)
            if self._job.status not in ENDED:
                return None
        return self._resolve()


def _resolver(self: Any, env: Any, **kwargs: Any) -> _JobResolver:
    job_id = env.stack[-1]["JobId"]
    return _JobResolver(job_id, env, _build_sync_resolver(self, env=env, **kwargs))


def _wait(self: Any, sync_resolver: Callable[[], Any], **kwargs: Any) -> Any:
    result = None
    try:
        kwargs |= {"callback_endpoint": None, "heartbeat_endpoint": None}  # `.sync` has no task token
        result = _eval_sync(self, sync_resolver=sync_resolver, **kwargs)
        return result
    except FailureEventException:
        result = "the job has failed"
        raise
    finally:
        # Stopped, timed out, or another branch failed: moto leaves the job running.
        if result is None and isinstance(sync_resolver, _JobResolver):
            _terminate(sync_resolver.job_id, kwargs["env"].aws_execution_details.role_arn)


def _terminate(job_id: str, role: str) -> None:
    try:
        client = sfn_clients.client_of(role, "batch")
        client.terminate_job(jobId=job_id, reason="Terminated by AWS Step Functions")
    except (BotoCoreError, ClientError):
        log.exception("could not terminate job %s", job_id)


def install() -> None:
    """Patch moto."""
    patch(state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", PAUSE, source="d2cbad71")
    patch(StateTaskServiceBatch, "_build_sync_resolver", _resolver, source="94c7999d")
    patch(StateTaskServiceCallback, "_eval_sync", _wait, source="60e33127")
