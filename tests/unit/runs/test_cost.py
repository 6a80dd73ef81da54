"""seqdrop.runs.cost: the price of attempts, and their sum for a run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from seqdrop.runs import cost, price_list
from seqdrop.runs.prices import AWS_SPOT, RATES, Prices, Rates

PRICES = Prices(Rates(0.01, 0.001), Rates(0.04, 0.004), spot_queue="normal")
REQUESTS = 20 * (price_list.USD_PER_GET + price_list.USD_PER_PUT)
TRANSITIONS = 3 * price_list.USD_PER_TRANSITION
SMALL = REQUESTS + TRANSITIONS


def attempt(step: str = "align", **values: Any) -> dict[str, Any]:
    row = {"step": step, "number": 1, "queue": "normal", "vcpus": 2, "memory": 4096, "seconds": 3600}
    return {**row, "status": "SUCCEEDED", "attempt": f"{step}.1", "run": "r", **values}


def usd(**values: Any) -> float:
    return float(cost.priced(attempt(**values), PRICES)["usd"])


def test_an_attempt_pays_its_hours_its_requests_and_its_transitions() -> None:
    assert usd() == pytest.approx(2 * 0.01 + 4 * 0.001 + SMALL, abs=1e-6)
    assert usd(queue="high") == pytest.approx(4 * 0.024 + SMALL, abs=1e-6)
    assert usd(number=2) == pytest.approx(0.024 + REQUESTS, abs=1e-6)
    parts = usd(bytes_in=1600 << 20, bytes_out=800 << 20)
    more = 100 * price_list.USD_PER_GET + 50 * price_list.USD_PER_PUT
    assert parts == pytest.approx(0.024 + SMALL + more, abs=1e-6)


def test_an_attempt_that_waited_for_an_instance_pays_its_start() -> None:
    assert usd(queued=59) == usd()
    assert usd(queued=60) == pytest.approx(0.024 * 1.05 + SMALL, abs=1e-6)


def test_an_attempt_of_seconds_costs_a_fraction_of_a_cent_and_not_nothing() -> None:
    assert usd(seconds=4) == pytest.approx(4 / 3600 * 0.024 + SMALL, abs=1e-6)
    assert usd(seconds=0) > 0


def test_the_price_of_a_run_is_the_sum_of_those_of_its_attempts() -> None:
    failed = attempt(status="FAILED", seconds=1800)
    rows = [cost.priced(row, PRICES) for row in (failed, attempt(number=2), attempt("call", vcpus=4, memory=2048))]
    found = cost.of_run([*rows, attempt("annotate", status="RUNNING")], PRICES)
    assert found == {
        "usd": float(sum(row["usd"] for row in rows)),
        "usd_failed": float(rows[0]["usd"]),
        "attempts": 3,
        "failed_attempts": 1,
        "vcpu_hours": 7.0,
        "gib_hours": 8.0,
        "scratch_hours": 2.5,
        "estimated": True,
        "prices": [RATES],
        "assumed": {
            "spot": {"usd_per_vcpu_hour": 0.01, "usd_per_gib_hour": 0.001},
            "on_demand": {"usd_per_vcpu_hour": 0.04, "usd_per_gib_hour": 0.004},
            "usd_per_scratch_hour": 0.0,
        },
    }


def test_only_spot_prices_of_aws_make_a_price_that_is_no_estimate() -> None:
    row = {**cost.priced(attempt(), PRICES), "price": AWS_SPOT}
    assert cost.of_run([row], PRICES)["estimated"] is False
    assert cost.of_run([row, cost.priced(attempt("call"), PRICES)], PRICES)["estimated"] is True
    assert cost.of_run([], PRICES)["usd"] == 0


@pytest.mark.parametrize("attribute", ["step", "queue", "run"])
def test_the_sums_of_groups_add_up_to_the_rows(attribute: str) -> None:
    rows = [
        cost.priced(attempt(step, queue=queue, seconds=seconds), PRICES)
        for step, queue, seconds in (("align", "normal", 7), ("align", "high", 11), ("call", "normal", 13))
    ]
    groups = cost.by(attribute, rows)
    assert sum((group["usd"] for group in groups.values()), Decimal(0)) == cost.total(rows)
    assert sum(group["attempts"] for group in groups.values()) == 3
    assert [group["usd"] for group in groups.values()] == sorted((g["usd"] for g in groups.values()), reverse=True)


def test_what_is_spent_counts_the_attempts_that_run() -> None:
    ended, running = cost.priced(attempt(), PRICES), attempt("call", status="RUNNING")
    del running["seconds"]
    assert cost.spent([ended, running], PRICES, {"call.1": 1800}) == pytest.approx(0.036 + 2 * SMALL, abs=1e-6)
