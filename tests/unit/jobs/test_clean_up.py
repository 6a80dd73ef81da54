"""The clean-up of a step is complete even if SIGTERM comes in the middle of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

import pytest
from support.job_runs import PUBLISH, Batch, finish

# The tool itself sends the signal to the step, so that it comes exactly when the clean-up ends the tools. It survives
# the first SIGTERM, and a later one ends it.
TOOL = """
trap 'kill -TERM $PPID; trap - TERM' TERM
echo $$ > {pid_file}
while :; do sleep 1; done
"""
START_TOOL = """
import subprocess, time
work.processes.start("sh", "-c", {script!r}, stdout=subprocess.DEVNULL)
while not Path({pid_file!r}).exists():
    time.sleep(0.02)
"""
# `rm` of the first clean-up sends the signal and does not remove anything.
RM = """#!/bin/sh
[ -e {pid_file} ] && exec {rm} "$@"
echo $$ > {pid_file}
kill -TERM $PPID
exec sleep 600
"""


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_stopped_and_clean(batch: Batch, pid_file: Path, body: str) -> None:
    """Run a step that a signal stops in its clean-up; it must leave no directory and no process."""
    code, log = finish(batch.start(body))
    pid = int(pid_file.read_text())
    running = is_running(pid)
    with contextlib.suppress(ProcessLookupError):
        if running:
            os.kill(pid, signal.SIGKILL)
    assert code == 143, log
    assert not running
    assert list(batch.scratch.iterdir()) == []
    assert batch.verdict()["class"] == "STOPPED"
    assert "jobs/align.json" in batch.written()  # all work was done before the clean-up


def test_a_signal_while_the_tools_are_ended_leaves_no_directory_and_no_process(batch: Batch, pid_file: Path) -> None:
    script = TOOL.format(pid_file=pid_file)
    assert_stopped_and_clean(batch, pid_file, START_TOOL.format(script=script, pid_file=str(pid_file)) + PUBLISH)


def test_a_signal_while_the_directory_is_removed_leaves_no_directory_and_no_process(
    batch: Batch, pid_file: Path
) -> None:
    programs = pid_file.parent / "bin"
    programs.mkdir()
    (programs / "rm").write_text(RM.format(pid_file=pid_file, rm=shutil.which("rm")))
    (programs / "rm").chmod(0o755)
    batch.env["PATH"] = f"{programs}:{batch.env['PATH']}"
    assert_stopped_and_clean(batch, pid_file, PUBLISH)
