"""seqdrop.jobs.usage: what a job uses of its instance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from seqdrop.jobs.usage import HOST, Usage, read_host

ON_AWS = {"type": "c6id.2xlarge", "life_cycle": "spot", "zone": "us-east-1a", "vcpus": 8, "memory": 15800}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path))
    (tmp_path / "job/parts").mkdir(parents=True)
    return tmp_path


def test_the_largest_size_of_the_directory_counts(scratch: Path) -> None:
    usage, part = Usage(scratch / "job"), scratch / "job/parts/1.bam"
    part.write_bytes(b"x" * (3 << 20))
    usage.measure_scratch()
    part.unlink()
    used = usage.to_json()
    assert used["scratch"] in {3, 4}
    assert used["cpu_seconds"] > 0
    assert "host" not in used


def test_the_instance_is_that_of_the_scratch_disk(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (scratch / HOST).write_text(json.dumps(ON_AWS))
    assert Usage(scratch / "job").to_json()["host"] == ON_AWS
    for text in ("", "[]", "{"):
        (scratch / HOST).write_text(text)
        assert read_host() == {}
    monkeypatch.delenv("SEQDROP_SCRATCH")
    assert read_host() == {}


def test_a_directory_that_is_gone_keeps_its_last_size(scratch: Path) -> None:
    usage = Usage(scratch / "gone", scratch=5 << 20)
    assert usage.to_json()["scratch"] == 5
