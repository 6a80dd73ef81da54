"""Stopped and killed jobs"""

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
from warm_python import WarmProcess

STOP_TIMEOUT = 30.0  # seconds between SIGTERM and SIGKILL of a container
# This tool and its child ignore SIGTERM; the child runs in a session of its own.
TOOL_WITHOUT_SIGTERM = """
trap '' TERM
setsid sh -c 'trap "" TERM; echo $$ > {mark}; while :; do sleep 1; done' &
while :; do sleep 1; done
"""
LARGE = """
(work / "aligned.bam").write_bytes(os.urandom(12 << 20))
work.publish(work / "aligned.bam", "bam")
"""


READ_STREAMS = f"""
from seqdrop.fastq.pairs import Pairs
files = [work.stream(S3Uri({RESULTS!r}, "in.fastq"), f"lane1_R{{mate}}.fastq") for mate in (1, 2)]
list(Pairs(*files).batches())
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def uploads(batch: Batch) -> list[str]:
    return [upload["Key"] for upload in batch.s3.list_multipart_uploads(Bucket=RESULTS).get("Uploads", [])]


def stop_and_check(batch: Batch, process: WarmProcess) -> None:
    """Stop the job, and check that it leaves nothing behind after 30 seconds."""
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, log = finish(process)
    assert code == 143, log
    assert time.monotonic() - start < STOP_TIMEOUT
    assert list(batch.scratch.iterdir()) == []
    assert uploads(batch) == []
    verdict = batch.verdict()
    assert (verdict["class"], verdict["exit_code"]) == ("STOPPED", 143)


STOPPED = case(
    happens="A job is stopped by a user, by its time limit, or because AWS reclaims its Spot instance.",
    see="`STOPPED`; after the time limit `TIMEOUT`; after the loss of a Spot instance another attempt.",
    does="Within 30 seconds: ends all processes of the job, aborts incomplete uploads, clears the scratch disk.",
    do="If you stopped the run by mistake: `seqdrop resume RUN`.",
)


@STOPPED
def test_a_job_can_be_stopped_while_its_tool_ignores_sigterm(batch: Batch, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    process = batch.start(f"work.run('sh', '-c', {TOOL_WITHOUT_SIGTERM.format(mark=mark)!r})")
    pid = int(eventually(lambda: mark.exists() and mark.read_text().strip(), "the tool to run"))
    stop_and_check(batch, process)
    assert not is_alive(pid)


@more
def test_a_job_can_be_stopped_while_its_tool_does_not_read_its_input(batch: Batch, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    feed = "def feed(out):\n    for _ in range(100): out.write(bytes(1 << 20))\n"
    script = f"trap '' TERM; echo $$ > {mark}; while :; do sleep 1; done"
    process = batch.start(f"{feed}work.processes.pipe(feed, ['sh', '-c', {script!r}])")
    pid = int(eventually(lambda: mark.exists() and mark.read_text().strip(), "the tool to run"))
    stop_and_check(batch, process)
    assert not is_alive(pid)


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
    ids=["download", "head", "start of an upload", "part", "end of an upload", "small object", "receipt"],
)
def test_a_job_can_be_stopped_while_s3_does_not_answer(batch: Batch, line: Line, what: bytes, body: str) -> None:
    batch.s3.put_object(Bucket=RESULTS, Key="in.bam", Body=os.urandom(12 << 20))
    line.pattern, line.fault = what, "hang"
    process = batch.start(body)
    assert line.matched.wait(PATIENCE)
    stop_and_check(batch, process)
    assert "jobs/align.json" not in batch.written()


@more
def test_a_job_can_be_stopped_while_s3_does_not_send_the_next_reads(batch: Batch, line: Line) -> None:
    """A thread waits for them, which gets no signal."""
    batch.s3.put_object(Bucket=RESULTS, Key="in.fastq", Body=os.urandom(12 << 20))
    line.pattern, line.fault = b"(?s)GET .*in.fastq.*bytes=8388608-", "hang"
    process = batch.start(READ_STREAMS)
    assert line.matched.wait(PATIENCE)
    stop_and_check(batch, process)


@case(
    happens="A job is stopped after its work is done, while it clears the scratch disk.",
    see="`STOPPED`; after the loss of a Spot instance another attempt. No result is lost.",
    does="Clears the whole disk. The receipt is written, so the next attempt ends at once.",
)
def test_a_job_can_be_stopped_while_it_clears_its_disk(batch: Batch, tmp_path: Path) -> None:
    mark, stopped, folder = tmp_path / "removing", tmp_path / "stopped", tmp_path / "bin"
    folder.mkdir()
    wait = f"touch {mark}; while ! [ -e {stopped} ]; do sleep 0.1; done; sleep 1"  # rm continues after the signal
    (folder / "rm").write_text(f'#!/bin/sh\n{wait}\nexec {shutil.which("rm")} "$@"\n')
    (folder / "rm").chmod(0o755)
    batch.env["PATH"] = f"{folder}:{batch.env['PATH']}"
    process = batch.start(PUBLISH)
    eventually(mark.exists, "the clean-up")
    process.send_signal(signal.SIGTERM)
    stopped.touch()
    stop_and_check(batch, process)
    assert "jobs/align.json" in batch.written()
    assert "already done" in batch.run("raise RuntimeError", attempt="2")[1]


@case(
    happens="A job is killed with SIGKILL: by the kernel because of its memory, or by a power failure of the host.",
    see="`OUT_OF_MEMORY`, or another attempt. The next job on this host logs that it removed the directory.",
    does="Removes the directories of killed jobs, but no directory that a running program uses.",
)
def test_the_directory_of_a_killed_job_is_removed_by_the_next_job(batch: Batch, tmp_path: Path) -> None:
    marks = [tmp_path / "one", tmp_path / "two"]
    one, two = (
        batch.start(f"work.run('sh', '-c', 'echo $$ > {mark}; exec sleep 600')", run="r", attempt="1") for mark in marks
    )
    tools = [int(eventually(lambda m=mark: m.exists() and m.read_text().strip(), "a tool")) for mark in marks]
    foreign = [batch.scratch / "job-abc", batch.scratch / "seqdrop-notes", batch.scratch / "seqdrop-align-link_to_"]
    foreign[0].mkdir()
    foreign[1].write_text("of another program")
    foreign[2].symlink_to(tmp_path)
    directories = set(batch.scratch.glob("seqdrop-align-*")) - set(foreign)
    assert len(directories) == 2
    try:
        one.kill()
        one.wait()
        assert batch.run(PUBLISH)[0] == 0
        assert set(batch.scratch.iterdir()) == {*directories, *foreign}  # the tool of the killed job still uses it
        os.kill(tools[0], signal.SIGKILL)
        eventually(lambda: not is_alive(tools[0]), "the end of the tool")
        code, log = batch.run(PUBLISH, run="s", results=f"s3://{RESULTS}/NA12878/s",
                              bam=f"s3://{RESULTS}/NA12878/s/NA12878.bam")  # fmt: skip
        assert (code, "removed the directory of a killed job" in log) == (0, True)
        remaining = set(batch.scratch.iterdir()) - set(foreign)
        assert len(remaining) == 1
        assert remaining < directories
        assert set(foreign) <= set(batch.scratch.iterdir())
    finally:
        two.terminate()
        two.wait()
    assert set(batch.scratch.iterdir()) == set(foreign)
