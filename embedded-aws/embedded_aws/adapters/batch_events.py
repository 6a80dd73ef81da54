"""Events of the kind "Batch Job State Change", which moto does not send."""

from typing import Any

from .events_bus import emit


def job_changed(job: Any) -> None:
    emit("aws.batch", "Batch Job State Change", [job.arn], job.describe())
