"""Calculate what the attempts of jobs cost. The price of a run is the sum of those of its attempts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from seqdrop.runs import price_list
from seqdrop.runs.prices import AWS_SPOT, Host, Prices
from seqdrop.storage.transfers import PART_SIZE

USD_DIGITS = 6  # an attempt of some seconds costs a fraction of a cent, which must not become nothing
BOOT_WAIT, BOOT_SECONDS = 60, 180  # guesses: an attempt that waited a minute paid for the start of its instance
REQUESTS = 20  # guess: of S3, for each attempt, beside those of the parts of its files
TRANSITIONS = 3  # of the state machine for each job: its state, and its share of the others
FAILED = "FAILED"
Row = Mapping[str, Any]


def priced(row: Row, prices: Prices) -> dict[str, Any]:
    """Return the row of an ended attempt with its price in USD, `usd`, and where that is from, `price`."""
    usd, source = price(row, float(row["seconds"]), prices)
    return {**row, "usd": Decimal(str(round(usd, USD_DIGITS))), "price": source}


def price(row: Row, seconds: float, prices: Prices) -> tuple[float, str]:
    """Return what an attempt of so many seconds costs in USD, and where the price of its instance is from.

    Included are its share of the start of its instance and of the scratch volume, the requests to S3, and the
    transitions of the state machine.
    """
    kind, life_cycle, zone = (str(row.get(name, "")) for name in ("instance_type", "life_cycle", "zone"))
    host = Host(kind, life_cycle, zone, int(row.get("host_vcpus", 0)), int(row.get("host_memory", 0)))
    hour = f"{str(row.get('started', ''))[:13]}:00:00Z"
    hourly = prices.hourly(host, str(row["queue"]), int(row["vcpus"]), int(row["memory"]), hour)
    boot = BOOT_SECONDS if float(row.get("queued", 0)) >= BOOT_WAIT else 0
    return (seconds + boot) / 3600 * hourly.usd + _requests(row), hourly.source


def _requests(row: Row) -> float:
    gets = REQUESTS + int(row.get("bytes_in", 0)) // PART_SIZE
    puts = REQUESTS + int(row.get("bytes_out", 0)) // PART_SIZE
    transitions = TRANSITIONS if int(row["number"]) == 1 else 0
    return gets * price_list.USD_PER_GET + puts * price_list.USD_PER_PUT + transitions * price_list.USD_PER_TRANSITION


def spent(rows: Iterable[Row], prices: Prices, running: Mapping[str, float]) -> float:
    """Return what attempts have cost until now in USD; `running`: attempt -> seconds, of those that have not ended."""
    return sum(
        float(row["usd"]) if "usd" in row else price(row, running.get(str(row["attempt"]), 0.0), prices)[0]
        for row in rows
    )


def total(rows: Iterable[Row]) -> Decimal:
    """Return the sum of the prices of attempts in USD."""
    return sum((Decimal(str(row["usd"])) for row in rows if "usd" in row), Decimal(0))


def of_run(rows: Sequence[Row], prices: Prices) -> dict[str, Any]:
    """Return the cost of a run, as its manifest has it."""
    ended = [row for row in rows if "usd" in row]
    failed = [row for row in ended if row["status"] == FAILED]
    sources = sorted({str(row["price"]) for row in ended})
    return {
        "usd": float(total(ended)),
        "usd_failed": float(total(failed)),
        "attempts": len(ended),
        "failed_attempts": len(failed),
        "vcpu_hours": _hours(ended, lambda row: float(row["vcpus"])),
        "gib_hours": _hours(ended, lambda row: float(row["memory"]) / 1024),
        "scratch_hours": _hours(ended, lambda _: 1.0),
        "estimated": sources != [AWS_SPOT],
        "prices": sources,
        "assumed": prices.assumed(),
    }


def _hours(rows: Iterable[Row], amount: Callable[[Row], float]) -> float:
    return round(sum(float(row["seconds"]) / 3600 * amount(row) for row in rows), 4)


def by(attribute: str, rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return attempts, hours and price of rows by an attribute: step, queue or sample; the most expensive first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if "usd" in row:
            groups.setdefault(str(row.get(attribute, "")), []).append(row)
    sums = {
        value: {
            "attempts": len(group),
            "failed": sum(row["status"] == FAILED for row in group),
            "hours": _hours(group, lambda _: 1.0),
            "usd": total(group),
        }
        for value, group in groups.items()
    }
    return dict(sorted(sums.items(), key=lambda pair: -pair[1]["usd"]))
