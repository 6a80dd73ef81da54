"""Errors of a job, its exit codes, and the verdict that a failed job leaves."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from seqdrop import signals
from seqdrop.failure import advice

# Exit codes of a job: the words of sysexits.h, and 128 + SIGTERM.
USAGE_EXIT, BAD_DATA_EXIT, INTERNAL_EXIT, RETRY_EXIT = 64, 65, 70, 75
STOPPED_EXIT = signals.STOPPED_EXIT

BAD_INPUT_CLASS = re.compile(r"BAD_INPUT\.[A-Z_]{1,40}")


class JobError(Exception):
    """A job cannot go on, and knows why: the class of it and a sentence for a person."""

    exit_code = INTERNAL_EXIT

    def __init__(self, failure_class: str, message: str) -> None:
        super().__init__(message)
        self.failure_class = failure_class


class BadInputError(JobError):
    """The reads or the genome are not what they should be; another try reads the same bytes."""

    exit_code = BAD_DATA_EXIT

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind if kind == "REFERENCE" else f"BAD_INPUT.{kind}", message)


class UsageError(JobError):
    """The plan asks for what the tool's wrapper does not allow."""

    exit_code = USAGE_EXIT

    def __init__(self, message: str) -> None:
        super().__init__("BAD_INPUT.ARGS", message)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one attempt of a job failed, as the job itself saw it."""

    failure_class: str
    message: str
    tool: str = ""
    exit_code: int = INTERNAL_EXIT
    stderr_tail: tuple[str, ...] = ()
    peak_memory: int = 0  # MiB
    job_id: str = ""

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        return {"class": fields.pop("failure_class"), **fields, "advice": advice.get(self.failure_class)}

    @classmethod
    def from_json(cls, value: Any) -> Verdict:
        """Raises ValueError for what no job of ours wrote."""
        match value:
            case {
                "class": str(failure_class),
                "message": str(message),
                "tool": str(tool),
                "exit_code": int(exit_code),
                "stderr_tail": list(tail),
                "peak_memory": int(peak_memory),
                "job_id": str(job_id),
            } if failure_class in advice.ADVICE or BAD_INPUT_CLASS.fullmatch(failure_class):
                lines = tuple(line for line in tail if isinstance(line, str))
                return cls(failure_class, message, tool, exit_code, lines, peak_memory, job_id)
        raise ValueError("this is no verdict")
