"""Estimate the price and the time of a run before it starts: from earlier runs, else from docs/sizing.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from statistics import median
from typing import Any

from seqdrop.plan import steps
from seqdrop.runs import prices
from seqdrop.runs.cost import USD_DIGITS
from seqdrop.runs.prices import Host, Prices
from seqdrop.runs.table import Row, seconds_of

MAX_RUNS = 10  # earlier runs that an estimate is made of
MAX_ROWS = 200  # newest rows in which they are searched
SAME = ("reference", "aligner", "caller")  # attributes that they share with the run
# vCPU hours for the FASTQs of a human genome at depth 30, of the times and default sizes in docs/sizing.md
GENOME_SIZE = 70e9  # bytes of these FASTQs
VCPU_HOURS = {
    "bwa_mem3": 2 * 32, "bwa": 6 * 32, "isaac": 6 * 32, "bcftools": 5 * 32, "strelka": 2 * 32,
    "annotate": 0.5 * 4, "collect": 1 * 8, "compose": 0.05 * 2,
}  # fmt: skip
JOB_HOURS = 0.05  # guess: of each job, for the start of an instance and for its inputs
TOOL_OF = {"align": "aligner", "call": "caller"}
NO_RUNS = "docs/sizing.md"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The price and the time that a run will probably take."""

    usd: float
    hours: float
    runs: int  # earlier runs that it is made of; 0: it is made of docs/sizing.md

    @property
    def basis(self) -> str:
        """What the estimate is made of."""
        return f"{self.runs} earlier run{'' if self.runs == 1 else 's'}" if self.runs else NO_RUNS

    def row(self, size: int) -> dict[str, Any]:
        """Return the attributes of the row of the run, whose FASTQs have `size` bytes."""
        usd, hours = str(round(self.usd, USD_DIGITS)), str(round(self.hours, 4))
        return {"fastq_bytes": size, "estimated_usd": usd, "estimated_hours": hours, "estimated_from": self.basis}


def size_of(lanes: Iterable[Mapping[str, Any]]) -> int:
    """Return the bytes of the FASTQs in the lanes of reads.json."""
    return sum(int(file.get("size", 0)) for lane in lanes for file in lane.values() if isinstance(file, dict))


def alike(rows: Iterable[Row], run: Mapping[str, Any]) -> list[Row]:
    """Return the newest rows of runs with the reference and the tools of `run` that ended without a resumption."""
    same = (
        row
        for row in islice(rows, MAX_ROWS)
        if all(row.get(name) == run.get(name) for name in SAME)
        and row.get("fastq_bytes")
        and "finished" in row
        and "cost" in row
        and "resumed" not in row
    )
    return list(islice(same, MAX_RUNS))


def of_run(
    size: int,
    run: Mapping[str, Any],
    past: Sequence[Row],
    sizes: Mapping[str, Mapping[str, str]],
    queue: str,
    rates: Prices,
) -> Estimate:
    """Return the estimate for FASTQs of `size` bytes; `run` has its tools, `sizes` vcpus and memory of each step.

    `parts` of a run is the number of jobs that call its variants.
    """
    if not past:
        return _of_constants(size, run, sizes, queue, rates)
    usd = _fit([(int(row["fastq_bytes"]), float(row["cost"])) for row in past], size)
    hours = _fit([(int(row["fastq_bytes"]), hours_of(row)) for row in past], size)
    return Estimate(usd, hours, len(past))


def hours_of(row: Mapping[str, Any]) -> float:
    """Return the hours from the start of an ended run to its end."""
    return seconds_of(row) / 3600


def _fit(points: Sequence[tuple[int, float]], size: int) -> float:
    """Return the value at `size` of the line through points (Theil and Sen), which outliers hardly move.

    Points of about one size have no slope: the value is then their median, in proportion to the size.
    """
    slopes = [
        (right[1] - left[1]) / (right[0] - left[0])
        for left, right in combinations(sorted(points), 2)
        if right[0] > 1.2 * left[0]
    ]
    middle, value = median(x for x, _ in points), median(y for _, y in points)
    if not slopes:
        return value * size / middle
    slope = max(0.0, median(slopes))
    line = median(y - slope * x for x, y in points) + slope * size
    least = min(y for _, y in points) * min(1.0, size / middle)  # below the points, a line may end below zero
    return max(least, line)


def _of_constants(
    size: int, run: Mapping[str, Any], sizes: Mapping[str, Mapping[str, str]], queue: str, rates: Prices
) -> Estimate:
    hours, usd, parts = {}, 0.0, int(run.get("parts", 1))
    of_steps = {step: sizes[step] for step in steps.names() if step in sizes}  # not those of fused and joint jobs
    for step, own in of_steps.items():
        children = parts if step == steps.CALL.name else 1
        job, gather = (sizes[steps.SCATTER.name], JOB_HOURS) if children > 1 else (own, 0.0)
        work = VCPU_HOURS.get(str(run.get(TOOL_OF.get(step, ""), step)), 0.0) * size / GENOME_SIZE
        of_job = JOB_HOURS + work / children / int(job["vcpus"])
        hours[step] = of_job + gather
        price = rates.hourly(Host(), prices.name(queue), int(job["vcpus"]), int(job["memory"]), "")
        usd += (children * of_job + gather) * price.usd
    one, other = hours.get("call", 0) + hours.get("annotate", 0), hours.get("collect", 0)
    known = {"call", "annotate", "collect"}
    return Estimate(usd, sum(taken for step, taken in hours.items() if step not in known) + max(one, other), 0)


def errors(rows: Iterable[Row]) -> list[float]:
    """Return the error of the price in each row, estimated before its run, as a share of the price that it had."""
    return [
        abs(float(row["estimated_usd"]) - float(row["cost"])) / float(row["cost"])
        for row in rows
        if "estimated_usd" in row and float(row.get("cost", 0)) > 0
    ]


def errors_of_time(rows: Iterable[Row]) -> list[float]:
    """Return the error of the time in each row of an ended run, as a share of the time that it took."""
    return [
        abs(float(row["estimated_hours"]) - hours) / hours
        for row in rows
        if "estimated_hours" in row and (hours := hours_of(row)) > 0
    ]


def median_error(found: Sequence[float]) -> float | None:
    """Return the median of errors; None without any."""
    return median(found) if found else None
