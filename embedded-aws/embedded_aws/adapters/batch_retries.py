"""Batch's retryStrategy, which moto drops (batch/responses.py: submitjob, batch/models.py: Job.run)."""

from dataclasses import dataclass
from typing import Any

EXITED = "Essential container in task exited"  # ECS says this of success and failure alike


@dataclass(frozen=True)
class Ending:
    """How one attempt ended, in the words DescribeJobs uses."""

    exit_code: int | None
    status_reason: str | None
    reason: str | None = None  # the container's reason, where ECS gives one
    final: bool = False  # terminated or timed out: Batch retries neither


def wants_another(strategy: dict[str, Any], attempt: int, ending: Ending) -> bool:
    """The first rule that matches decides; when none matches, Batch tries again."""
    if ending.final or ending.exit_code == 0 or attempt >= int(strategy.get("attempts", 1)):
        return False
    for rule in strategy.get("evaluateOnExit", []):
        if _matches(rule, ending):
            return bool(rule["action"].upper() == "RETRY")
    return True


def _matches(rule: dict[str, str], ending: Ending) -> bool:
    told = {
        "onExitCode": "" if ending.exit_code is None else str(ending.exit_code),
        "onStatusReason": ending.status_reason or "",
        "onReason": ending.reason or "",
    }
    return all(_glob(rule[key], text) for key, text in told.items() if key in rule)


def _glob(pattern: str, text: str) -> bool:
    """Only an asterisk at the end is special."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
