"""seqdrop.runs.estimate: price and time of a run before it starts."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.runs import estimate, work
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


def test_without_earlier_runs_the_estimate_is_that_of_the_model() -> None:
    found = estimate.of_run(70 * GB, RUN, [], SIZES, "arn:queue/normal", PRICES)
    assert found.basis == "docs/sizing.md"
    hours = estimate.hours_of_jobs(70 * GB, RUN, SIZES)
    assert hours == {
        "align": pytest.approx(0.32, abs=0.01), "call": pytest.approx(0.30, abs=0.01),
        "annotate": pytest.approx(0.56, abs=0.01), "collect": pytest.approx(0.30, abs=0.01),
        "compose": pytest.approx(0.07, abs=0.01),
    }  # fmt: skip
    assert found.hours == pytest.approx(sum(hours.values()) - hours["collect"])  # it runs beside call and annotate
    assert 0.4 < found.usd < 0.6
    assert estimate.of_run(7 * GB, RUN, [], SIZES, "arn:queue/normal", PRICES).usd < found.usd / 4
    others = dict.fromkeys(("fused", "merge", "join"), SIZES["align"])  # of jobs that the run does not have
    assert estimate.of_run(70 * GB, RUN, [], {**SIZES, **others}, "arn:queue/normal", PRICES) == found
    on_demand = estimate.of_run(70 * GB, RUN, [], SIZES, "arn:queue/high", PRICES)
    assert on_demand.usd == pytest.approx(found.usd * 42 / 17)


def test_a_large_job_of_bwa_mem3_that_writes_bam_sorts_by_region() -> None:
    def seconds(vcpus: int, tool: str = "bwa_mem3", alignment_format: str = "bam") -> float:
        return work.seconds_of("align", tool, 7 * GB, vcpus, alignment_format) - work.FIXED["align"]

    pairs = 7 * GB / work.BYTES_OF_PAIR / 1e6
    by_region = pairs * ((work.BWA_MEM3 + work.REGION_CPU_SECONDS) / 8 + work.REGION_SECONDS)
    assert seconds(8) == pytest.approx(by_region)
    one_pipe = pairs * (work.BWA_MEM3 / 8 + work.SECONDS["align"])
    assert seconds(8, alignment_format="cram") == pytest.approx(work.CRAM_SHARE * one_pipe)
    assert seconds(4) == pytest.approx(pairs * (work.BWA_MEM3 / 4 + work.SECONDS["align"]))
    assert seconds(8, "bwa") == pytest.approx(pairs * (work.CPU_SECONDS["bwa"] / 8 + work.SECONDS["align"]))


def test_the_model_knows_the_form_and_the_alignment_format() -> None:
    sizes = {**SIZES, "fused": {"vcpus": "16", "memory": "60000"}}
    split = estimate.hours_of_jobs(7 * GB, RUN, sizes)
    fused = estimate.hours_of_jobs(7 * GB, {**RUN, "form": "fused"}, sizes)
    assert list(fused) == ["fused"]
    assert max(split.values()) < fused["fused"] < sum(split.values())  # one start, fewer vCPUs for align
    cram = estimate.hours_of_jobs(7 * GB, {**RUN, "alignment_format": "cram"}, sizes)
    assert {step for step in split if cram[step] > split[step]} == {"align", "call", "collect"}


def test_runs_of_the_same_form_and_format_are_taken_alone_if_there_are_any() -> None:
    kind = {"form": "fused", "alignment_format": "cram"}
    run, other = {**RUN, **kind}, row(GB, 9.0, form="split", alignment_format="cram")
    past = estimate.alike([row(GB, 5.0), other, row(GB, 1.0, **kind), other], run)
    assert [one["cost"] for one in past] == ["1.0"]
    assert estimate.of_run(GB, run, past, SIZES, "q", PRICES).basis == "1 earlier run"
    past = estimate.alike([row(GB, 5.0), other], run)
    assert [one["cost"] for one in past] == ["5.0", "9.0"]
    assert estimate.of_run(GB, run, past, SIZES, "q", PRICES).basis == "2 earlier runs of another form or format"


def test_the_work_of_calling_is_divided_among_the_parts() -> None:
    sizes = {**SIZES, "scatter": {"vcpus": "4", "memory": "8000"}}
    run = {**RUN, "form": "scattered", "parts": 14}
    split, hours = (estimate.hours_of_jobs(70 * GB, each, sizes) for each in ({**RUN, "form": "split"}, run))
    start = work.START / 3600
    join = hours["call"] - start  # of the pieces or parts, in both forms
    assert hours["scatter"] - start == pytest.approx((split["call"] - start - join) * 32 / 4 / 14)
    assert join == pytest.approx(70e9 / work.BYTES_OF_PAIR / 1e6 * work.SECONDS["call"] / 3600)
    found = estimate.of_run(70 * GB, run, [], sizes, "arn:queue/normal", PRICES)
    assert found.hours == pytest.approx(sum(hours.values()) - hours["collect"])
    price = 4 * PRICES.spot.usd_per_vcpu_hour + 8000 / 1024 * PRICES.spot.usd_per_gib_hour
    assert found.usd == pytest.approx(_others(sizes, split) + (14 * hours["scatter"] + hours["call"]) * price)


def _others(sizes: dict[str, dict[str, str]], hours: dict[str, float]) -> float:
    """Return the price of the steps that do not call, by their hours."""
    spot = PRICES.spot
    rates = {
        name: int(own["vcpus"]) * spot.usd_per_vcpu_hour + int(own["memory"]) / 1024 * spot.usd_per_gib_hour
        for name, own in sizes.items()
    }
    return sum(taken * rates[name] for name, taken in hours.items() if name != "call")


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
