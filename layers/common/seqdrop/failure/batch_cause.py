"""Parse the error of a Step Functions task that ran a Batch job. Missing and invalid fields never raise an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seqdrop.text import plain_line

# The start of Batch's status reason when a time limit of the queue cancelled the job; the reason follows.
QUEUE_LIMIT = "Canceled by JobStateTimeLimit action due to reason: "
MAX_TEXT = 300  # characters kept of each text from AWS


@dataclass(frozen=True, slots=True)
class BatchCause:
    """Describe how the last attempt of a job ended, according to Batch."""

    job_id: str = ""
    attempt: int = 0  # counted by Batch from 1; 0 if none started
    exit_code: int | None = None
    status_reason: str = ""
    reason: str = ""
    stopped: bool = False
    log: str = ""  # log group and log stream; "" if the job never ran
    error: str = ""  # the error name of Step Functions
    text: str = field(default="", repr=False)  # of `Cause`, if it does not describe a job
    array_size: int = 0  # the number of children of an array job; 0 for other jobs
    array_index: int | None = None  # of a child
    truncated: bool = False  # the description was too long: Step Functions cut off its end

    @classmethod
    def parse(cls, error: Any) -> BatchCause:
        """Parse `Error` and `Cause`: Batch's description of the job as JSON, or a text if the API call failed."""
        fields = _mapping(error)
        name, cause = plain_line(_text(fields.get("Error")), MAX_TEXT), _text(fields.get("Cause"))
        job = _mapping(_from_json(cause))
        if not job:
            return cls(error=name, text=plain_line(cause, MAX_TEXT), truncated=cause.lstrip().startswith("{"))
        attempts = _list(job.get("Attempts"))
        last = _mapping(attempts[-1]) if attempts else {}
        container = {**_mapping(job.get("Container")), **_mapping(last.get("Container"))}
        status_reason = _text(job.get("StatusReason")) or _text(last.get("StatusReason"))
        array = _mapping(job.get("ArrayProperties"))
        return cls(
            job_id=plain_line(_text(job.get("JobId")), MAX_TEXT),
            attempt=len(attempts),
            exit_code=_number(container.get("ExitCode")),
            status_reason=plain_line(status_reason.removeprefix(QUEUE_LIMIT), MAX_TEXT),
            reason=plain_line(_text(container.get("Reason")), MAX_TEXT),
            stopped=job.get("IsTerminated") is True or job.get("IsCancelled") is True,
            log=_log(container),
            error=name,
            array_size=_number(array.get("Size")) or 0,
            array_index=_number(array.get("Index")),
        )


def _log(container: Mapping[str, Any]) -> str:
    stream = plain_line(_text(container.get("LogStreamName")), MAX_TEXT)
    options = _mapping(_mapping(container.get("LogConfiguration")).get("Options"))
    group = plain_line(_text(options.get("awslogs-group")), MAX_TEXT)
    return f"{group} {stream}".strip() if stream else ""


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if type(value) is int else None
