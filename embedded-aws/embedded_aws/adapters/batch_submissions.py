"""Keep what moto drops: the retryStrategy of a submission, and whether a job was cancelled or terminated.

Wraps BatchResponse.submitjob (batch/responses.py:188) and BatchBackend.cancel_job (batch/models.py:2058).
"""

import threading
from typing import Any

from moto.batch.models import BatchBackend
from moto.batch.responses import BatchResponse

from embedded_aws.patches import patch

from . import batch_arrays

_request = threading.local()
_submit = BatchResponse.submitjob
_cancel = BatchBackend.cancel_job


def retry_strategy() -> dict[str, Any] | None:
    """Return the retryStrategy of the request that this thread answers."""
    strategy: dict[str, Any] | None = getattr(_request, "retry_strategy", None)
    return strategy


def _submit_job(self: Any) -> Any:
    batch_arrays.check_size((self._get_param("arrayProperties") or {}).get("size"))
    _request.retry_strategy = self._get_param("retryStrategy")
    return _submit(self)


def _cancel_job(self: Any, job_id: str, reason: str) -> None:
    job = self.get_job_by_id(job_id)
    children = batch_arrays.children(job) if job is not None else []
    for child in children:
        self.cancel_job(child.job_id, reason)
    if children:  # the parent ends with its children: those that have started are not cancelled
        return
    _cancel(self, job_id, reason)
    if job is not None and job.stop and not job.attempts:
        job.is_cancelled, job.is_terminated = True, False


def install() -> None:
    """Patch moto."""
    patch(BatchResponse, "submitjob", _submit_job, source="7d3253aa")
    patch(BatchBackend, "cancel_job", _cancel_job, source="cce4dfad")
