"""Estimate what the jobs of a run cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from seqdrop.plan import steps
from seqdrop.runs.receipts import ResultsFolder

HOURS_PER_MONTH = 730
USD_DIGITS = 6  # a job of some seconds costs a fraction of a cent, which must not become nothing


@dataclass(frozen=True, slots=True)
class Rates:
    """Assumed prices in USD of one hour."""

    usd_per_vcpu_hour: float
    usd_per_gib_hour: float  # of memory


@dataclass(frozen=True, slots=True)
class Prices:
    """The rates that a deployment assumes."""

    spot: Rates
    on_demand: Rates
    spot_queue: str = ""  # its jobs are assumed to run on Spot instances; "" if there are none
    usd_per_scratch_hour: float = 0.0  # of the scratch volume of an instance

    def rates(self, queue: str) -> Rates:
        """Return the rates of the jobs of a queue."""
        return self.spot if self.spot_queue and queue == self.spot_queue else self.on_demand


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a job that left a receipt or a verdict."""

    step: str
    failed: bool
    hours: float
    vcpus: int
    memory: int  # MiB

    @property
    def gib(self) -> float:
        """The memory in GiB."""
        return self.memory / 1024


def estimate(plan: Mapping[str, Any], folder: ResultsFolder, prices: Prices) -> dict[str, Any]:
    """Return an estimate of what the attempts of all jobs cost in USD.

    Each job pays the whole scratch volume of its instance, as if it had the instance alone. Attempts of lost hosts,
    which left no verdict, waiting time, storage, requests and transfer are not included.
    """
    attempts = list(_attempts(folder))
    costs = [_cost(attempt, plan, prices) for attempt in attempts]
    return {
        "usd": round(sum(costs, 0.0), USD_DIGITS),
        "usd_failed": round(
            sum(cost for attempt, cost in zip(attempts, costs, strict=True) if attempt.failed), USD_DIGITS
        ),
        "failed_attempts": sum(attempt.failed for attempt in attempts),
        "vcpu_hours": round(sum(attempt.hours * attempt.vcpus for attempt in attempts), 4),
        "gib_hours": round(sum(attempt.hours * attempt.gib for attempt in attempts), 4),
        "scratch_hours": round(sum(attempt.hours for attempt in attempts), 4),
        "assumed": {
            "spot": asdict(prices.spot),
            "on_demand": asdict(prices.on_demand),
            "usd_per_scratch_hour": round(prices.usd_per_scratch_hour, 6),
        },
    }


def _attempts(folder: ResultsFolder) -> Iterator[Attempt]:
    for step, receipt in folder.receipts.items():
        yield Attempt(step, False, receipt["seconds"] / 3600, receipt["vcpus"], receipt["memory"])
    for step, verdict in folder.failures:
        yield Attempt(step, True, verdict.seconds / 3600, verdict.vcpus, verdict.memory)


def _cost(attempt: Attempt, plan: Mapping[str, Any], prices: Prices) -> float:
    """Return the cost of an attempt, at the rates of the last queue of its step, or of the job with all steps."""
    job = plan.get(steps.FUSED.name) or plan.get(attempt.step, {})
    rates = prices.rates(job.get("job_queue", ""))
    hourly = attempt.vcpus * rates.usd_per_vcpu_hour + attempt.gib * rates.usd_per_gib_hour
    return attempt.hours * (hourly + prices.usd_per_scratch_hour)
