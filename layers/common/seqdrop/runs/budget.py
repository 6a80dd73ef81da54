"""The budget of a run: how much its jobs may cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from seqdrop.text import format_usd

BUDGET = "BUDGET"  # the class of a run that was stopped since it has cost its budget


def limit(row: Mapping[str, Any]) -> float:
    """Return the budget of a run in USD: its own, or the limit of the deployment if that is lower; 0 for none.

    The uploader of a file chooses the budget of its run, the owner of the deployment chooses the limit.
    """
    budgets = float(row.get("max_cost") or 0), of_deployment()
    return min((budget for budget in budgets if budget), default=0.0)


def of_deployment() -> float:
    """Return what a run of this deployment may cost in USD; 0 for no limit."""
    return float(os.environ["MAX_RUN_COST"])


def describe(spent: float, budget: float) -> str:
    """Say that the jobs of a run have cost its budget."""
    return f"its jobs have cost {format_usd(spent)}, and its budget is {format_usd(budget)}"
