"""seqdrop.runs.cost: the estimate of what the jobs of a run cost."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop.runs.cost import Prices, Rates, estimate
from seqdrop.runs.receipts import ResultsFolder

PLAN = {step: {"job_queue": "normal"} for step in ("align", "call")}
SPOT, ON_DEMAND = Rates(0.01, 0.001), Rates(0.04, 0.004)
PRICES = Prices(SPOT, ON_DEMAND, spot_queue="normal")
RECEIPTS = {
    "align": {"seconds": 7200.0, "vcpus": 2, "memory": 4096},
    "call": {"seconds": 1800.0, "vcpus": 4, "memory": 2048},
}
FAILED = Verdict("NO_SPACE", "full", seconds=3600.0, vcpus=2, memory=4096)


def cost(plan: Any = PLAN, prices: Prices = PRICES, *failures: tuple[str, Verdict]) -> dict[str, Any]:
    return estimate(plan, ResultsFolder(receipts=RECEIPTS, failures=failures), prices)


def test_the_estimate_of_a_run_on_spot_instances() -> None:
    assert cost() == {
        "usd": 0.069,  # 6 vCPU hours and 9 GiB hours
        "usd_failed": 0,
        "failed_attempts": 0,
        "vcpu_hours": 6.0,
        "gib_hours": 9.0,
        "scratch_hours": 2.5,
        "assumed": {
            "spot": {"usd_per_vcpu_hour": 0.01, "usd_per_gib_hour": 0.001},
            "on_demand": {"usd_per_vcpu_hour": 0.04, "usd_per_gib_hour": 0.004},
            "usd_per_scratch_hour": 0.0,
        },
    }


def test_without_spot_instances_the_prices_are_those_of_on_demand() -> None:
    assert cost(prices=Prices(SPOT, ON_DEMAND))["usd"] == pytest.approx(4 * 0.069)


@pytest.mark.parametrize("queue", ["high-priority", "last-resort"])
def test_a_step_of_another_queue_ran_on_demand(queue: str) -> None:
    plan = {**PLAN, "call": {"job_queue": queue}}  # 2 vCPU hours and 1 GiB hour
    assert cost(plan)["usd"] == pytest.approx(0.069 + 3 * (2 * 0.01 + 1 * 0.001))


def test_steps_that_shared_a_job_ran_in_its_queue() -> None:
    plan = {**PLAN, "fused": {"job_queue": "last-resort"}}
    assert cost(plan)["usd"] == cost({step: {"job_queue": "last-resort"} for step in PLAN})["usd"]


def test_failed_attempts_are_part_of_the_estimate() -> None:
    found = cost(PLAN, PRICES, ("align", FAILED), ("align", FAILED))
    assert (found["usd"], found["usd_failed"], found["failed_attempts"]) == (0.117, 0.048, 2)
    assert (found["vcpu_hours"], found["scratch_hours"]) == (10.0, 4.5)


def test_each_job_pays_the_scratch_volume() -> None:
    prices = Prices(SPOT, ON_DEMAND, "normal", usd_per_scratch_hour=0.1)
    found = cost(PLAN, prices, ("align", FAILED))
    assert found["usd"] == pytest.approx(0.069 + 0.024 + 3.5 * 0.1)
    assert found["usd_failed"] == pytest.approx(0.024 + 0.1)


def test_verdicts_of_earlier_versions_count_as_attempts_without_cost() -> None:
    found = cost(PLAN, PRICES, ("align", Verdict("NO_SPACE", "full")))
    assert (found["usd"], found["failed_attempts"]) == (0.069, 1)


def test_a_run_without_receipts_costs_nothing() -> None:
    found = estimate({}, ResultsFolder(), PRICES)
    assert (found["usd"], found["usd_failed"], found["vcpu_hours"], found["scratch_hours"]) == (0, 0, 0, 0)


def test_an_attempt_of_seconds_costs_a_fraction_of_a_cent_and_not_nothing() -> None:
    short = Verdict("BAD_INPUT.TRUNCATED", "R2 is truncated", seconds=4.0, vcpus=2, memory=2048)
    assert cost(PLAN, PRICES, ("align", short))["usd_failed"] == pytest.approx(24e-6, abs=2e-6)
