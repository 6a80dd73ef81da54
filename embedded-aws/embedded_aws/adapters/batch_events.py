"""The event "Batch Job State Change", which moto does not send."""

from typing import Any

from .events_bus import emit


def emit_state_change(job: Any) -> None:
    """Send the event with the present description of the job."""
    emit("aws.batch", "Batch Job State Change", [job.arn], job.describe())
