"""seqdrop.runs.sizes: sizes of jobs that fit what their attempts have used."""

from __future__ import annotations

from typing import Any

import pytest
from seqdrop.runs import sizes

PARAMETERS = {"AlignVcpus": "32", "AlignMemory": "80000", "CallMemory": "60000", "ScratchSize": "0"}


def attempt(step: str = "align", **values: Any) -> dict[str, Any]:
    row = {"step": step, "status": "SUCCEEDED", "memory": 80000, "vcpus": 32, "seconds": 600, "peak_memory": 20000}
    return {**row, "cpu_seconds": 600 * 30, "scratch": 10240, **values}


def suggested(*rows: dict[str, Any], **parameters: str) -> dict[str, str]:
    return sizes.suggest(sizes.use_of(rows), {**PARAMETERS, **parameters})


def test_the_job_that_gathers_parts_counts_as_one_of_those_that_call_them() -> None:
    """Else its small use would be that of the jobs that call whole genomes."""
    rows = [attempt("scatter", memory=8000), attempt("call", memory=8000, form="scattered"), attempt("call")]
    assert [(use.step, use.attempts) for use in sizes.use_of(rows)] == [("scatter", 2), ("call", 1)]


def test_memory_that_no_attempt_used_is_not_asked_for() -> None:
    rows = [attempt(), attempt(peak_memory=24000), attempt()]
    assert suggested(*rows) == {"AlignMemory": "30208"}  # 24,000 and a quarter, in blocks of 512
    assert suggested(*rows[:2]) == {}, "two runs are too few"
    assert suggested(*[attempt(peak_memory=60000)] * 3) == {}, "a small gain is not worth a change"
    assert suggested(*[attempt(peak_memory=0)] * 3) == {}


def test_memory_is_never_less_than_attempts_that_failed_needed() -> None:
    failed = attempt(status="FAILED", **{"class": "OUT_OF_MEMORY"}, memory=40000, peak_memory=40000)
    again = attempt(memory=80000, peak_memory=20000)
    assert suggested(failed, *[again] * 3, AlignMemory="40000") == {"AlignMemory": "80000"}
    assert suggested(failed, *[again] * 3, AlignMemory="160000") == {"AlignMemory": "80000"}
    assert suggested(failed, *[again] * 3) == {}
    assert suggested(failed, AlignMemory="40000") == {"AlignMemory": "80384"}, "no attempt was large enough: twice it"


def test_vcpus_that_were_idle_are_not_asked_for() -> None:
    rows = [attempt(peak_memory=0, cpu_seconds=600 * used) for used in (5, 8, 10)]
    assert suggested(*rows) == {"AlignVcpus": "13"}
    assert suggested(*[attempt(peak_memory=0)] * 3) == {}


def test_only_parameters_of_the_template_are_named() -> None:
    assert suggested(*[attempt("scatter")] * 3) == {}


def test_the_scratch_volume_has_room_for_all_jobs_of_the_largest_instance() -> None:
    rows = [attempt(peak_memory=0)] * 3  # 10 GiB each, two on 64 vCPUs
    volume = {"ScratchSize": "1000", "WholeInstanceVcpus": "64"}
    assert suggested(*rows, **volume) == {"ScratchSize": "25"}
    assert suggested(*rows, **volume, ReferenceCacheSize="5") == {"ScratchSize": "30"}
    assert suggested(*rows, **volume, ReferenceCacheSize="64") == {"ScratchSize": "34"}
    full = attempt(status="FAILED", peak_memory=0, **{"class": "NO_SPACE"})
    assert suggested(*rows, full, **volume) == {"ScratchSize": "2000"}
    assert suggested(*rows) == {}


def test_the_scratch_volume_has_room_for_a_reference_once_if_its_cache_takes_it() -> None:
    """The cache has at most a quarter of the disk: on a smaller disk each job would have a copy of its own."""
    rows = [attempt(peak_memory=0, shared=20480)] * 3
    volume = {"ScratchSize": "1000", "WholeInstanceVcpus": "64"}
    assert suggested(*rows, **volume, ReferenceCacheSize="64") == {"ScratchSize": "80"}
    rows = [attempt(peak_memory=0, shared=2048)] * 3
    assert suggested(*rows, **volume, ReferenceCacheSize="64") == {"ScratchSize": "34"}


def test_the_use_of_a_step_is_what_it_was_given_and_the_most_that_it_used() -> None:
    [use] = sizes.use_of([attempt(), attempt(peak_memory=30000, seconds=1200), attempt(status="FAILED", scratch=20480)])
    assert (use.step, use.attempts, use.memory, use.peak_memory, use.scratch) == ("align", 2, 80000, 30000, 20480)
    assert (use.vcpus, use.used_vcpus, use.minutes) == (32, pytest.approx(30), 15.0)
