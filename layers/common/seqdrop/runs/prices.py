"""Say what an hour of an instance costs: by the API of AWS, by parameters, by a price list, or by assumed rates."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from seqdrop import aws
from seqdrop.log import logger
from seqdrop.runs import price_list

HOURS_PER_MONTH = 730
SPOT, ON_DEMAND = "spot", "on-demand"  # as the metadata of instances call them
RATES = "assumed rates"
AWS_SPOT = "Spot price of AWS"
SpotPrice = Callable[[str, str, str], float | None]  # type, zone and time -> USD of an hour


@dataclass(frozen=True, slots=True)
class Rates:
    """Assumed prices in USD of one hour."""

    usd_per_vcpu_hour: float
    usd_per_gib_hour: float  # of memory

    def hourly(self, vcpus: float, memory: float) -> float:
        """Return the price of an hour of so many vCPUs and MiB of memory."""
        return vcpus * self.usd_per_vcpu_hour + memory / 1024 * self.usd_per_gib_hour


@dataclass(frozen=True, slots=True)
class Host:
    """The instance that an attempt ran on, as its start script found it; all empty for a host that is unknown."""

    instance_type: str = ""
    life_cycle: str = ""
    zone: str = ""
    vcpus: int = 0
    memory: int = 0  # MiB

    @classmethod
    def from_json(cls, value: Any) -> Host:
        """Read the host in a receipt or a verdict; an incomplete one is an unknown one."""
        match value:
            case {
                "type": str(kind), "life_cycle": "spot" | "on-demand" as life_cycle, "zone": str(zone),
                "vcpus": int(vcpus), "memory": int(memory),
            } if vcpus > 0 and memory > 0:  # fmt: skip
                return cls(kind, life_cycle, zone, vcpus, memory)
        return cls()


@dataclass(frozen=True, slots=True)
class Price:
    """What one attempt pays for an hour, in USD, and where that price is from."""

    usd: float
    source: str


def no_spot_price(_type: str, _zone: str, _time: str) -> None:
    """Return None: nobody was asked."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices that a deployment assumes, and those that it can ask for."""

    spot: Rates
    on_demand: Rates
    spot_queue: str = ""  # name of the queue whose jobs are assumed to run on Spot instances; "" if there are none
    usd_per_scratch_hour: float = 0.0  # of the scratch volume of an instance
    instances: Mapping[str, float] = field(default_factory=dict)  # InstanceType -> USD of an hour on demand
    region: str = ""
    spot_price: SpotPrice = no_spot_price

    def hourly(self, host: Host, queue: str, vcpus: int, memory: int, time: str) -> Price:
        """Return what a job of this size pays for an hour, with the scratch volume.

        On a known instance that is its share of the vCPUs or of the memory, whichever is larger. On an unknown one it
        is the sum of the assumed rates, and the whole volume. `time` is that of the Spot price.
        """
        life_cycle = host.life_cycle or (SPOT if self.spot_queue and queue == self.spot_queue else ON_DEMAND)
        if not host.vcpus:
            rates = self.spot if life_cycle == SPOT else self.on_demand
            return Price(rates.hourly(vcpus, memory) + self.usd_per_scratch_hour, RATES)
        whole = self._of_instance(host, time)
        share = min(1.0, max(vcpus / host.vcpus, memory / host.memory))
        return Price(share * (whole.usd + self.usd_per_scratch_hour), whole.source)

    def _of_instance(self, host: Host, time: str) -> Price:
        if host.life_cycle == SPOT and (asked := self.spot_price(host.instance_type, host.zone, time)):
            return Price(asked, AWS_SPOT)
        discount = self.spot.usd_per_vcpu_hour / self.on_demand.usd_per_vcpu_hour if host.life_cycle == SPOT else 1.0
        if host.instance_type in self.instances:
            return Price(discount * self.instances[host.instance_type], "InstancePrices")
        family = price_list.USD_PER_VCPU_HOUR.get(host.instance_type.partition(".")[0])
        if family and self.region == price_list.REGION:
            return Price(discount * family * host.vcpus, f"price list of {price_list.DATE}")
        rates = self.spot if host.life_cycle == SPOT else self.on_demand
        return Price(rates.hourly(host.vcpus, host.memory), RATES)

    def assumed(self) -> dict[str, Any]:
        """Return the assumed rates, for the manifest."""
        return {
            "spot": asdict(self.spot),
            "on_demand": asdict(self.on_demand),
            "usd_per_scratch_hour": round(self.usd_per_scratch_hour, 6),
        }


def of_deployment() -> Prices:
    """Return the prices of this deployment, from the environment of the function."""
    return parse(json.loads(os.environ["PRICES"]), os.environ.get("AWS_REGION", ""), ask_spot_price)


def parse(settings: Mapping[str, Any], region: str, spot_price: SpotPrice = no_spot_price) -> Prices:
    """Return the prices in the settings that the template gives to its functions."""
    scratch = float(settings["scratch_size"]) * float(settings["scratch_gib_month"]) / HOURS_PER_MONTH
    return Prices(
        Rates(*map(float, settings["spot"])),
        Rates(*map(float, settings["on_demand"])),
        name(settings["normal_queue"]) if settings["spot_share"] == "first" else "",
        scratch,
        {kind: float(usd) for kind, _, usd in (one.partition("=") for one in settings["instances"].split(",") if one)},
        region,
        spot_price,
    )


def name(queue: str) -> str:
    """Return the name of a queue from its ARN."""
    return queue.rpartition("/")[2]


@cache
def client() -> Any:
    """Return the EC2 client of this process."""
    return aws.client("ec2")


@lru_cache(maxsize=1000)
def ask_spot_price(instance_type: str, zone: str, time: str) -> float | None:
    """Return the Spot price of an hour in USD at a time as rows have it; None if AWS has none or refuses."""
    moment = datetime.fromisoformat(time)
    try:
        history = client().describe_spot_price_history(
            InstanceTypes=[instance_type],
            AvailabilityZone=zone,
            ProductDescriptions=["Linux/UNIX"],
            StartTime=moment,
            EndTime=moment,
        )["SpotPriceHistory"]
    except (ClientError, BotoCoreError) as error:  # a price that is not known must not keep a run from its record
        logger.warning("no Spot price", reason=type(error).__name__)
        return None
    return next((float(entry["SpotPrice"]) for entry in history), None)
