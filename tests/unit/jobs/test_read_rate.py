"""Test seqdrop.jobs.read_rate: the lines of a log that say how far an alignment is."""

from __future__ import annotations

import pytest
from seqdrop.jobs import read_rate
from seqdrop.jobs.read_rate import ReadRate


def test_reads_and_their_rate_are_logged_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter([0.0, 4.0, 10.0, 15.0, 30.0])
    monkeypatch.setattr(read_rate.time, "monotonic", lambda: next(times))
    rate = ReadRate()
    for reads in (1_000, 4_000, 500, 1_500):
        rate.add(reads)
    lines = [(line.getMessage(), vars(line)["reads"], vars(line)["reads_per_second"]) for line in caplog.records]
    assert lines == [
        ("progress", 5_000, 500),
        ("progress", 7_000, 100),
    ]
