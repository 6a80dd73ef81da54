"""Batch's retryStrategy, which moto drops (batch/responses.py: submitjob, batch/models.py: Job.run)."""

from dataclasses import dataclass
from typing import Any

EXITED = "Essential container in task exited"  # ECS reports it for success and failure


@dataclass(frozen=True)
class AttemptResult:
    """How one attempt ended, in the terms of DescribeJobs."""

    exit_code: int | None
    status_reason: str | None
    reason: str | None = None  # the container's reason, if ECS reports one
    final: bool = False  # terminated or timed out: never retried


def should_retry(strategy: dict[str, Any], attempt: int, result: AttemptResult) -> bool:
    """Apply the first rule that matches; without one, Batch retries."""
    if result.final or result.exit_code == 0 or attempt >= int(strategy.get("attempts", 1)):
        return False
    for rule in strategy.get("evaluateOnExit", []):
        if _matches(rule, result):
            return bool(rule["action"].upper() == "RETRY")
    return True


def _matches(rule: dict[str, str], result: AttemptResult) -> bool:
    texts = {
        "onExitCode": "" if result.exit_code is None else str(result.exit_code),
        "onStatusReason": result.status_reason or "",
        "onReason": result.reason or "",
    }
    return all(_matches_pattern(rule[key], text) for key, text in texts.items() if key in rule)


def _matches_pattern(pattern: str, text: str) -> bool:
    """Match a pattern; only an asterisk at its end is special."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
