"""seqdrop.jobs.scratch: directories made and cleared by many at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.jobs import scratch


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path))
    return tmp_path


def test_a_directory_is_kept_while_its_lock_is_held_and_cleared_after(root: Path) -> None:
    made = scratch.create("align")
    scratch.remove_leftovers()
    assert list(root.iterdir()) == [made.directory]
    inherited = os.dup(made.lock)  # as a tool has it
    os.close(made.lock)
    scratch.remove_leftovers()
    assert list(root.iterdir()) == [made.directory]
    os.close(inherited)
    scratch.remove_leftovers()
    assert list(root.iterdir()) == []


def test_no_directory_is_taken_for_a_leftover_while_it_is_made(root: Path) -> None:
    def make(_: int) -> bool:
        made = scratch.create("call")
        (made.directory / "file").write_text("x")
        there = made.directory.is_dir()
        made.remove()
        return there

    with ThreadPoolExecutor(4) as pool:
        cleared = [pool.submit(scratch.remove_leftovers) for _ in range(200)]
        assert all(pool.map(make, range(40)))
        assert [future.result() for future in cleared] == [None] * 200
    assert list(root.iterdir()) == []


def test_what_is_not_ours_is_never_touched(root: Path) -> None:
    elsewhere = root / "elsewhere"
    for path in (elsewhere, root / "seqdrop-align", root / "seqdrop-align-UPPERCAS", root / "job-align-abcd1234"):
        path.mkdir()
    (root / "seqdrop-align-abcd1234").write_text("a file")
    (root / "seqdrop-align-abcd1235").symlink_to(elsewhere)
    before = set(root.iterdir())
    scratch.remove_leftovers()
    assert set(root.iterdir()) == before


@pytest.mark.parametrize("place", ["missing", "a file", ""])
def test_a_disk_that_cannot_be_used_is_named(root: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (root / "a file").write_text("")
    monkeypatch.setenv("SEQDROP_SCRATCH", str(root / place) if place else "")
    for use in (scratch.remove_leftovers, lambda: scratch.create("align")):
        with pytest.raises(JobError, match="scratch disk") as raised:
            use()
        assert raised.value.failure_class == "INTERNAL"
