"""Estimate the price and the time of a run before it starts: from earlier runs, else by a model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from statistics import median
from typing import Any

from seqdrop.plan import forms, steps
from seqdrop.runs import prices, work
from seqdrop.runs.cost import USD_DIGITS
from seqdrop.runs.prices import Host, Prices
from seqdrop.runs.table import Row, seconds_of

MAX_RUNS = 10  # earlier runs that an estimate is made of
MAX_ROWS = 200  # newest rows in which they are searched
SAME = ("reference", "aligner", "caller")  # attributes that they share with the run
KIND = ("form", "alignment_format")  # attributes by which earlier runs are preferred
TOOL_OF = {"align": "aligner", "call": "caller"}
CALLS = (steps.SCATTER.name, "call", "annotate")  # jobs of the branch beside `collect`
NO_RUNS = "docs/sizing.md"
OTHER_KIND = " of another form or format"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The price and the time that a run will probably take."""

    usd: float
    hours: float
    runs: int  # earlier runs that it is made of; 0: it is made by the model of docs/sizing.md
    same_kind: bool = True  # whether they have the form of the run and the format of its aligned reads

    @property
    def basis(self) -> str:
        """What the estimate is made of."""
        if not self.runs:
            return NO_RUNS
        return f"{self.runs} earlier run{'' if self.runs == 1 else 's'}{'' if self.same_kind else OTHER_KIND}"

    def row(self, size: int) -> dict[str, Any]:
        """Return the attributes of the row of the run, whose FASTQs have `size` bytes."""
        usd, hours = str(round(self.usd, USD_DIGITS)), str(round(self.hours, 4))
        return {"fastq_bytes": size, "estimated_usd": usd, "estimated_hours": hours, "estimated_from": self.basis}


def size_of(lanes: Iterable[Mapping[str, Any]]) -> int:
    """Return the bytes of the FASTQs in the lanes of reads.json."""
    return sum(int(file.get("size", 0)) for lane in lanes for file in lane.values() if isinstance(file, dict))


def alike(rows: Iterable[Row], run: Mapping[str, Any]) -> list[Row]:
    """Return the newest rows of runs with the reference and the tools of `run` that ended without a resumption.

    Runs of its form and alignment format are taken alone if there are any: others cost more or less.
    """
    same = [
        row
        for row in islice(rows, MAX_ROWS)
        if all(row.get(name) == run.get(name) for name in SAME)
        and row.get("fastq_bytes")
        and "finished" in row
        and "cost" in row
        and "resumed" not in row
    ]
    return ([row for row in same if is_kind(row, run)] or same)[:MAX_RUNS]


def is_kind(row: Row, run: Mapping[str, Any]) -> bool:
    """Return whether an earlier run has the form and the alignment format of `run`; rows of 0.1.0 have neither."""
    return all(row.get(name) == run.get(name) for name in KIND)


def of_run(
    size: int,
    run: Mapping[str, Any],
    past: Sequence[Row],
    sizes: Mapping[str, Mapping[str, str]],
    queue: str,
    rates: Prices,
) -> Estimate:
    """Return the estimate for FASTQs of `size` bytes.

    `run` has its tools, form, alignment format and `parts`, the number of jobs that call its variants; `sizes` has the
    vcpus and memory of each step.
    """
    if not past:
        return _of_model(size, run, sizes, queue, rates)
    usd = _fit([(int(row["fastq_bytes"]), float(row["cost"])) for row in past], size)
    hours = _fit([(int(row["fastq_bytes"]), hours_of(row)) for row in past], size)
    return Estimate(usd, hours, len(past), all(is_kind(row, run) for row in past))


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


def _of_model(
    size: int, run: Mapping[str, Any], sizes: Mapping[str, Mapping[str, str]], queue: str, rates: Prices
) -> Estimate:
    hours, usd = hours_of_jobs(size, run, sizes), 0.0
    for name, taken in hours.items():
        own, jobs = sizes[forms.sizes_of(run, name)], _parts(run) if name == steps.SCATTER.name else 1
        price = rates.hourly(Host(), prices.name(queue), int(own["vcpus"]), int(own["memory"]), "")
        usd += jobs * taken * price.usd
    one, other = sum(hours.get(name, 0) for name in CALLS), hours.get("collect", 0)
    known = {*CALLS, "collect"}
    return Estimate(usd, sum(taken for name, taken in hours.items() if name not in known) + max(one, other), 0)


def hours_of_jobs(size: int, run: Mapping[str, Any], sizes: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """Return the hours of each job by the model: of each step, or of the one job of a fused run.

    The jobs that call the parts of the genome run at the same time: it is the time of one.
    """
    fused = steps.FUSED.name if run.get("form") == forms.FUSED and steps.FUSED.name in sizes else ""
    alignment_format = str(run.get("alignment_format", ""))
    hours = dict[str, float]()
    for name, tool, share in _work_of(run):
        job = fused or name
        if job in sizes:
            vcpus = int(sizes[forms.sizes_of(run, job)]["vcpus"])
            seconds = work.seconds_of(name, tool, round(size * share), vcpus, alignment_format)
            hours[job] = hours.get(job, work.START / 3600) + seconds / 3600
    return hours


def _work_of(run: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield each job of a run, its tool, and its share of the reads."""
    for step in steps.names():
        tool = str(run.get(TOOL_OF.get(step, ""), step))
        if step == steps.CALL.name and run.get("form") == forms.SCATTERED:
            yield steps.SCATTER.name, tool, 1 / _parts(run)
            yield step, "", 1.0  # it only joins their calls
        else:
            yield step, tool, 1.0


def _parts(run: Mapping[str, Any]) -> int:
    """Return the number of jobs that call the variants of a run."""
    return int(run.get("parts") or forms.MIN_PARTS)


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
