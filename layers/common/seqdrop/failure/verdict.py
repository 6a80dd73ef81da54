"""Define the errors of a job, its exit codes and its verdict: the document that a failed job writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from seqdrop import signals
from seqdrop.failure import advice
from seqdrop.plan.names import VERSION, is_readable

# Exit codes of a job, after sysexits.h; STOPPED_EXIT is 128 + SIGTERM.
USAGE_EXIT, BAD_DATA_EXIT, INTERNAL_EXIT, RETRY_EXIT = 64, 65, 70, 75
STOPPED_EXIT = signals.STOPPED_EXIT

MAX_AMOUNT = 1e9  # seconds, vCPUs or MiB of one attempt
BAD_INPUT_CLASS = re.compile(r"BAD_INPUT\.[A-Z_]{1,40}")


class JobError(Exception):
    """Report why a job cannot continue: a failure class and a message for the user."""

    exit_code = INTERNAL_EXIT

    def __init__(self, failure_class: str, message: str) -> None:
        """Set the failure class, a key of `advice.ADVICE`, and the message."""
        super().__init__(message)
        self.failure_class = failure_class

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error as it is: subclasses have other arguments."""
        return Exception.__new__, (type(self), *self.args), vars(self)


class BadInputError(JobError):
    """Report invalid reads or an invalid reference. A retry fails too: it reads the same bytes."""

    exit_code = BAD_DATA_EXIT

    def __init__(self, kind: str, message: str, what_to_do: str = "") -> None:
        """Set the failure class BAD_INPUT.<kind>, or REFERENCE, the message, and advice better than that of the class.

        The better advice reaches the row of a pair that is refused before it starts.
        """
        super().__init__(kind if kind == "REFERENCE" else f"BAD_INPUT.{kind}", message)
        self.what_to_do = what_to_do


class UsageError(JobError):
    """Report an option in the plan that the tool's wrapper does not allow."""

    exit_code = USAGE_EXIT

    def __init__(self, message: str) -> None:
        """Set the failure class BAD_INPUT.ARGS and the message."""
        super().__init__("BAD_INPUT.ARGS", message)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say why one attempt of a job failed, as the job itself reports it."""

    failure_class: str
    message: str
    tool: str = ""
    exit_code: int = INTERNAL_EXIT
    stderr_tail: tuple[str, ...] = ()
    peak_memory: int = 0  # MiB
    job_id: str = ""
    seconds: float = 0.0  # of the attempt; 0, as vcpus and memory, in verdicts of version 0.2 and earlier
    vcpus: int = 0
    memory: int = 0  # MiB
    usage: Mapping[str, Any] = field(default_factory=dict)  # what it has used, for its price and size: jobs/usage.py

    def to_json(self) -> dict[str, Any]:
        """Return the verdict document, with the advice for its class."""
        fields = asdict(self)
        usage = {"usage": used} if (used := fields.pop("usage")) else {}
        return {
            "version": VERSION,
            "class": fields.pop("failure_class"),
            **fields,
            **usage,
            "advice": advice.get(self.failure_class),
        }

    @classmethod
    def from_json(cls, value: Any) -> Verdict:
        """Parse a verdict document; raise ValueError if a field is missing or invalid."""
        match value:
            case {
                "version": int(version),
                "class": str(failure_class),
                "message": str(message),
                "tool": str(tool),
                "exit_code": int(exit_code),
                "stderr_tail": list(tail),
                "peak_memory": int(peak_memory),
                "job_id": str(job_id),
            } if is_readable(version) and (failure_class in advice.ADVICE or BAD_INPUT_CLASS.fullmatch(failure_class)):
                lines = tuple(line for line in tail if isinstance(line, str))
                used = (_amount(value.get(name)) for name in ("seconds", "vcpus", "memory"))
                seconds, vcpus, memory = used
                return cls(
                    failure_class,
                    message,
                    tool,
                    exit_code,
                    lines,
                    peak_memory,
                    job_id,
                    seconds,
                    int(vcpus),
                    int(memory),
                    usage if isinstance(usage := value.get("usage"), dict) else {},
                )
        raise ValueError("not a verdict")


def _amount(value: Any) -> float:
    """Return a finite number that is not negative as it is, and 0 for everything else."""
    valid = isinstance(value, int | float) and 0 <= value < MAX_AMOUNT
    return value if valid else 0.0
