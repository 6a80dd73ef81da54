"""seqdrop.runs.prices: what an hour of an instance costs, and where the price is from."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.runs import prices
from seqdrop.runs.prices import AWS_SPOT, RATES, Host, Prices, Rates

SPOT, ON_DEMAND = Rates(0.01, 0.001), Rates(0.04, 0.004)
HOST = Host("c6id.8xlarge", "on-demand", "us-east-1a", 32, 65536)
ON_SPOT = Host("c6id.8xlarge", "spot", "us-east-1a", 32, 65536)
TIME = "2026-03-02T09:00:00Z"
SETTINGS: dict[str, Any] = {
    "spot": [0.01, 0.001],
    "on_demand": [0.04, 0.004],
    "scratch_gib_month": 0.073,
    "scratch_size": 1000,
    "instances": "c6id.8xlarge=3.2,m6id.8xlarge=4",
    "spot_share": "first",
    "normal_queue": "arn:aws:batch:us-east-1:123456789012:job-queue/normal",
}


def hourly(host: Host, vcpus: int, memory: int, **known: Any) -> tuple[float, str]:
    price = Prices(SPOT, ON_DEMAND, "normal", **known).hourly(host, "normal", vcpus, memory, TIME)
    return pytest.approx(price.usd), price.source


def test_a_job_pays_the_larger_of_its_shares_of_vcpus_and_memory() -> None:
    known = {"instances": {"c6id.8xlarge": 3.2}}
    assert hourly(HOST, 8, 1024, **known) == (0.8, "InstancePrices")
    assert hourly(HOST, 1, 32768, **known) == (1.6, "InstancePrices")
    assert hourly(HOST, 99, 1024, **known) == (3.2, "InstancePrices")


def test_the_scratch_volume_is_shared_too() -> None:
    known = {"instances": {"c6id.8xlarge": 3.2}, "usd_per_scratch_hour": 0.4}
    assert hourly(HOST, 8, 1024, **known) == (0.9, "InstancePrices")


def test_the_price_list_holds_in_its_region_alone() -> None:
    assert hourly(HOST, 32, 1024, region="us-east-1") == (1.6128, "price list of 2024-12")
    assert hourly(HOST, 32, 1024, region="eu-west-1") == (32 * 0.04 + 64 * 0.004, RATES)
    other = Host("x9.huge", "on-demand", "us-east-1a", 32, 65536)
    assert hourly(other, 32, 1024, region="us-east-1") == (32 * 0.04 + 64 * 0.004, RATES)


def test_spot_prices_are_those_of_aws_or_have_the_discount_of_the_rates() -> None:
    asked = []

    def ask(*question: str) -> float:
        asked.append(question)
        return 0.64

    known = {"instances": {"c6id.8xlarge": 3.2}}
    assert hourly(ON_SPOT, 16, 1024, **known, spot_price=ask) == (0.32, AWS_SPOT)
    assert asked == [("c6id.8xlarge", "us-east-1a", TIME)]
    assert hourly(ON_SPOT, 16, 1024, **known) == (0.4, "InstancePrices")
    assert hourly(HOST, 16, 1024, **known, spot_price=ask) == (1.6, "InstancePrices")


def test_on_an_unknown_instance_the_assumed_rates_hold_by_queue() -> None:
    assert hourly(Host(), 2, 4096) == (2 * 0.01 + 4 * 0.001, RATES)
    other = Prices(SPOT, ON_DEMAND, "normal", 0.1).hourly(Host(), "high", 2, 4096, TIME)
    assert other.usd == pytest.approx(2 * 0.04 + 4 * 0.004 + 0.1)


def test_the_prices_of_a_deployment_are_read_from_its_settings() -> None:
    read = prices.parse(SETTINGS, "eu-west-1")
    assert read == Prices(SPOT, ON_DEMAND, "normal", 0.1, {"c6id.8xlarge": 3.2, "m6id.8xlarge": 4.0}, "eu-west-1")
    never = prices.parse({**SETTINGS, "spot_share": "never", "instances": ""}, "")
    assert (never.spot_queue, never.instances) == ("", {})


@pytest.mark.parametrize(
    "value", [None, {}, "host", {"type": "a.b", "life_cycle": "free", "zone": "z", "vcpus": 1, "memory": 1}]
)
def test_an_incomplete_host_is_an_unknown_one(value: Any) -> None:
    assert Host.from_json(value) == Host()
