"""seqdrop.runs.estimate: price and time of a run before it starts."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.runs import estimate
from seqdrop.runs.prices import Prices, Rates

PRICES = Prices(Rates(0.017, 0.0017), Rates(0.042, 0.0042), spot_queue="normal")
RUN = {"reference": "hg", "aligner": "bwa_mem3", "caller": "bcftools"}
SIZES = {
    "align": {"vcpus": "32", "memory": "80000"}, "call": {"vcpus": "32", "memory": "60000"},
    "annotate": {"vcpus": "4", "memory": "12000"}, "collect": {"vcpus": "8", "memory": "8000"},
    "compose": {"vcpus": "2", "memory": "4000"},
}  # fmt: skip
GB = 10**9


def row(size: int, usd: float, minutes: int = 60, **values: Any) -> dict[str, Any]:
    finished = f"2026-03-02T{10 + minutes // 60:02}:{minutes % 60:02}:00Z"
    return {
        **RUN,
        "fastq_bytes": size,
        "cost": str(usd),
        "started": "2026-03-02T10:00:00Z",
        "finished": finished,
        **values,
    }


def test_without_earlier_runs_the_estimate_is_that_of_the_sizing_document() -> None:
    found = estimate.of_run(70 * GB, RUN, [], SIZES, "arn:queue/normal", PRICES)
    assert found.basis == "docs/sizing.md"
    assert found.hours == pytest.approx(2 + 5 + 0.5 + 0.05 + 4 * 0.05)  # align, call, annotate, compose; four starts
    assert 4 < found.usd < 7
    small = estimate.of_run(7 * GB, RUN, [], SIZES, "arn:queue/normal", PRICES)
    assert small.hours == pytest.approx(7.55 / 10 + 0.2)
    others = dict.fromkeys(("fused", "merge", "join"), SIZES["align"])  # of jobs that the run does not have
    assert estimate.of_run(70 * GB, RUN, [], {**SIZES, **others}, "arn:queue/normal", PRICES) == found
    on_demand = estimate.of_run(70 * GB, RUN, [], SIZES, "arn:queue/high", PRICES)
    assert on_demand.usd == pytest.approx(found.usd * 42 / 17)


def test_the_work_of_calling_is_divided_among_the_parts() -> None:
    sizes = {**SIZES, "scatter": {"vcpus": "4", "memory": "8000"}}
    one = estimate.of_run(70 * GB, RUN, [], sizes, "arn:queue/normal", PRICES)
    found = estimate.of_run(70 * GB, {**RUN, "parts": 70}, [], sizes, "arn:queue/normal", PRICES)
    # align, calling of a part, annotate, compose; five starts, of which one is that of the job that gathers the parts
    assert found.hours == pytest.approx(2 + 5 * 32 / 70 / 4 + 0.5 + 0.05 + 5 * 0.05)
    assert found.usd == pytest.approx(one.usd, rel=0.5)


def test_the_estimate_follows_the_line_of_earlier_runs_and_not_one_outlier() -> None:
    past = [row(size * GB, 0.1 + 0.02 * size, 6 * size) for size in (10, 20, 30, 40, 50)]
    found = estimate.of_run(60 * GB, RUN, [*past, row(35 * GB, 50.0, 600)], SIZES, "q", PRICES)
    assert (found.runs, found.basis) == (6, "6 earlier runs")
    assert found.usd == pytest.approx(1.3, rel=0.2)
    assert found.hours == pytest.approx(6, rel=0.2)


def test_earlier_runs_of_one_size_give_their_median_in_proportion() -> None:
    past = [row(10 * GB, usd) for usd in (1.0, 1.2, 9.0)]
    assert estimate.of_run(10 * GB, RUN, past, SIZES, "q", PRICES).usd == pytest.approx(1.2)
    assert estimate.of_run(20 * GB, RUN, past, SIZES, "q", PRICES).usd == pytest.approx(2.4)


def test_an_estimate_is_never_negative() -> None:
    past = [row(10 * GB, 1.0), row(20 * GB, 5.0)]
    assert estimate.of_run(1 * GB, RUN, past, SIZES, "q", PRICES).usd > 0


def test_only_comparable_runs_are_used() -> None:
    good = row(GB, 1.0)
    others = [{**good, "caller": "strelka"}, {**good, "resumed": "then"}, {**good, "fastq_bytes": 0}]
    others += [{name: value for name, value in good.items() if name != left_out} for left_out in ("cost", "finished")]
    assert estimate.alike([*others, *[good] * 12], RUN) == [good] * 10


def test_the_row_of_a_run_keeps_its_estimate_and_the_median_error_compares_it_with_the_cost() -> None:
    kept = estimate.Estimate(1.0, 2.0, 1).row(GB)
    assert kept == {
        "fastq_bytes": GB, "estimated_usd": "1.0", "estimated_hours": "2.0", "estimated_from": "1 earlier run",
    }  # fmt: skip
    rows = [{**kept, "cost": usd} for usd in ("0.5", "1.0", "1.25", "0")]
    assert estimate.errors(rows) == [1.0, 0.0, pytest.approx(0.2)]
    assert estimate.median_error(estimate.errors(rows)) == pytest.approx(0.2)
    assert estimate.median_error(estimate.errors([{"cost": "1"}])) is None
    assert estimate.errors_of_time(
        [row(GB, 1.0, 60, estimated_hours="0.75"), row(GB, 1.0, 0, estimated_hours="1")]
    ) == [0.25]


def test_the_size_of_a_run_is_that_of_its_fastqs() -> None:
    assert (
        estimate.size_of([{"lane": "L1", "fastq_1": {"size": 3}, "fastq_2": {"size": 4}}, {"fastq_1": {"size": 5}}])
        == 12
    )
