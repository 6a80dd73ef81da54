"""seqdrop.jobs.scratch: many jobs create and remove directories at the same time."""

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


def test_a_directory_is_removed_only_after_its_lock_is_released(root: Path) -> None:
    space = scratch.create("align")
    scratch.remove_leftovers()
    assert list(root.iterdir()) == [space.directory]
    inherited = os.dup(space.lock)  # as a tool does
    os.close(space.lock)
    scratch.remove_leftovers()
    assert list(root.iterdir()) == [space.directory]
    os.close(inherited)
    scratch.remove_leftovers()
    assert list(root.iterdir()) == []


def test_a_directory_in_creation_is_not_removed(root: Path) -> None:
    def create_and_use(_: int) -> bool:
        space = scratch.create("call")
        (space.directory / "file").write_text("x")
        exists = space.directory.is_dir()
        space.remove()
        return exists

    with ThreadPoolExecutor(4) as pool:
        removals = [pool.submit(scratch.remove_leftovers) for _ in range(200)]
        assert all(pool.map(create_and_use, range(40)))
        assert [future.result() for future in removals] == [None] * 200
    assert list(root.iterdir()) == []


def test_other_files_and_directories_are_never_removed(root: Path) -> None:
    elsewhere = root / "elsewhere"
    for path in (elsewhere, root / "seqdrop-align", root / "seqdrop-align-UPPERCAS", root / "job-align-abcd1234"):
        path.mkdir()
    (root / "seqdrop-align-abcd1234").write_text("a file")
    (root / "seqdrop-align-abcd1235").symlink_to(elsewhere)
    before = set(root.iterdir())
    scratch.remove_leftovers()
    assert set(root.iterdir()) == before


@pytest.mark.parametrize("place", ["missing", "a file", ""])
def test_a_missing_scratch_disk_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (root / "a file").write_text("")
    monkeypatch.setenv("SEQDROP_SCRATCH", str(root / place) if place else "")
    for use in (scratch.remove_leftovers, lambda: scratch.create("align")):
        with pytest.raises(JobError, match="scratch disk") as raised:
            use()
        assert raised.value.failure_class == "INTERNAL"
