"""Stopping"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from support.catalogue import case, more
from support.function_aws import RESULTS
from support.job_runs import PATIENCE, PUBLISH, Batch, Line, finish
from support.waiting import eventually
from support.warm_python import WarmProcess

HALF_A_MINUTE = 30.0  # seconds between SIGTERM and SIGKILL of a container
# Deaf to SIGTERM, and so is its child, which has left its group for a session of its own.
DEAF_TOOL = """
trap '' TERM
setsid sh -c 'trap "" TERM; echo $$ > {mark}; while :; do sleep 1; done' &
while :; do sleep 1; done
"""
LARGE = """
(work / "aligned.bam").write_bytes(os.urandom(12 << 20))
work.publish(work / "aligned.bam", "bam")
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def uploads(batch: Batch) -> list[str]:
    return [upload["Key"] for upload in batch.s3.list_multipart_uploads(Bucket=RESULTS).get("Uploads", [])]


def assert_nothing_is_left(batch: Batch, process: WarmProcess) -> None:
    """Stop the job; what it must have done half a minute later, and has done before."""
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, log = finish(process)
    assert code == 143, log
    assert time.monotonic() - told < HALF_A_MINUTE
    assert list(batch.scratch.iterdir()) == []
    assert uploads(batch) == []
    verdict = batch.verdict()
    assert (verdict["class"], verdict["exit_code"]) == ("STOPPED", 143)


STOPPED = case(
    happens="A job is stopped: by a person, by its time limit, or because a Spot host is taken back.",
    see="`STOPPED`; `TIMEOUT` after its time limit; another try of the job where a host was taken back.",
    does="Within half a minute: ends the tools and all they started, gives up half an upload, clears the scratch disk.",
    do="Resume the run if you stopped it by mistake.",
)


@STOPPED
def test_a_job_is_stopped_while_its_tool_runs_and_does_not_listen(batch: Batch, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    process = batch.start(f"work.run('sh', '-c', {DEAF_TOOL.format(mark=mark)!r})")
    pid = int(eventually(lambda: mark.exists() and mark.read_text().strip(), "the tool to run"))
    assert_nothing_is_left(batch, process)
    assert not alive(pid)


@more
def test_a_job_is_stopped_while_it_feeds_a_tool_that_does_not_read(batch: Batch, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    feed = "def feed(out):\n    for _ in range(100): out.write(bytes(1 << 20))\n"
    script = f"trap '' TERM; echo $$ > {mark}; while :; do sleep 1; done"
    process = batch.start(f"{feed}work.processes.pipe(feed, ['sh', '-c', {script!r}])")
    pid = int(eventually(lambda: mark.exists() and mark.read_text().strip(), "the tool to run"))
    assert_nothing_is_left(batch, process)
    assert not alive(pid)


@more
@pytest.mark.parametrize(
    ("what", "body"),
    [
        (b"GET .*in.bam", f"work.fetch(S3Uri({RESULTS!r}, 'in.bam'))"),
        (b"HEAD .*in.bam", f"work.fetch(S3Uri({RESULTS!r}, 'in.bam'))"),
        (b"POST .*NA12878.bam.uploads", LARGE),
        (b"PUT .*partNumber=2", LARGE),
        (b"POST .*uploadId=", LARGE),
        (b"PUT .*NA12878.bam.bai", PUBLISH),
        (b"PUT .*jobs/align.json", PUBLISH),
    ],
    ids=["staging in", "asking", "beginning to upload", "uploading", "ending an upload", "a small one", "the receipt"],
)
def test_a_job_is_stopped_while_s3_does_not_answer(batch: Batch, line: Line, what: bytes, body: str) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="in.bam", Body=os.urandom(12 << 20))
    line.pattern, line.fault = what, "hang"
    process = batch.start(body)
    assert line.matched.wait(PATIENCE)
    assert_nothing_is_left(batch, process)
    assert "jobs/align.json" not in batch.written()


@case(
    happens="A job is stopped when all its work is done, while it clears its scratch disk.",
    see="`STOPPED`, or another try of the job where a host was taken back; nothing that was done is lost.",
    does="Clears the disk to its end. Its receipt is there: another attempt ends at once.",
)
def test_a_job_is_stopped_while_it_clears_its_disk(batch: Batch, tmp_path: Path) -> None:
    mark, told, folder = tmp_path / "removing", tmp_path / "told", tmp_path / "bin"
    folder.mkdir()
    wait = f"touch {mark}; while ! [ -e {told} ]; do sleep 0.1; done; sleep 1"  # the signal is there before it goes on
    (folder / "rm").write_text(f'#!/bin/sh\n{wait}\nexec {shutil.which("rm")} "$@"\n')
    (folder / "rm").chmod(0o755)
    batch.env["PATH"] = f"{folder}:{batch.env['PATH']}"
    process = batch.start(PUBLISH)
    eventually(mark.exists, "the clean-up")
    process.send_signal(signal.SIGTERM)
    told.touch()
    assert_nothing_is_left(batch, process)
    assert "jobs/align.json" in batch.written()  # it was done: the next attempt ends at once
    assert "already done" in batch.run("raise RuntimeError", attempt="2")[1]


@case(
    happens="A job is killed where it stands (a host that loses its power, the kernel that needs memory).",
    see="Nothing, or `OUT_OF_MEMORY`; the next job of that host logs that it cleared what was left.",
    does="Clears the directories that no living program works in, and no other.",
)
def test_what_a_killed_job_left_is_cleared_by_the_next_and_nothing_else(batch: Batch, tmp_path: Path) -> None:
    marks = [tmp_path / "one", tmp_path / "two"]
    one, two = (
        batch.start(f"work.run('sh', '-c', 'echo $$ > {mark}; exec sleep 600')", run="r", attempt="1") for mark in marks
    )
    tools = [int(eventually(lambda m=mark: m.exists() and m.read_text().strip(), "a tool")) for mark in marks]
    foreign = [batch.scratch / "job-abc", batch.scratch / "seqdrop-notes", batch.scratch / "seqdrop-align-link_to_"]
    foreign[0].mkdir()
    foreign[1].write_text("of somebody")
    foreign[2].symlink_to(tmp_path)
    directories = set(batch.scratch.glob("seqdrop-align-*")) - set(foreign)
    assert len(directories) == 2
    try:
        one.kill()
        one.wait()
        assert batch.run(PUBLISH)[0] == 0
        assert set(batch.scratch.iterdir()) == {*directories, *foreign}  # its tool still writes there
        os.kill(tools[0], signal.SIGKILL)
        eventually(lambda: not alive(tools[0]), "the end of the tool")
        code, log = batch.run(PUBLISH, run="s", results=f"s3://{RESULTS}/NA12878/s",
                              bam=f"s3://{RESULTS}/NA12878/s/NA12878.bam")  # fmt: skip
        assert (code, "removed the directory of a killed job" in log) == (0, True)
        left = set(batch.scratch.iterdir()) - set(foreign)
        assert len(left) == 1
        assert left < directories
        assert set(foreign) <= set(batch.scratch.iterdir())
    finally:
        two.terminate()
        two.wait()
    assert set(batch.scratch.iterdir()) == set(foreign)
