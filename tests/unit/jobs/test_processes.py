"""seqdrop.jobs.processes: small real programs, alone and in pipes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Command, Processes
from seqdrop.jobs.redaction import Redactor
from support.waiting import eventually

LONG = 60.0  # seconds; a stopped program ends in less than a tenth of it, others run ten times as long
DATA = b"0123456789abcdef" * 65_536  # 1 MiB: more than any pipe holds


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path, Redactor("NA12878"))


def sh(script: str) -> Command:
    return ["sh", "-c", script]


def refuse(stream: BinaryIO) -> None:
    stream.read(1)
    raise JobError("TOOL_FAILED", "the records are wrong")


def test_the_output_of_a_program_is_read_while_it_runs(processes: Processes) -> None:
    assert processes.read(lambda stream: len(stream.read()), *sh("seq 100000")) == 588_895


def test_what_the_reader_of_an_output_refuses_is_the_reason(processes: Processes) -> None:
    """Not that the program, with more to write than a pipe holds, lost its reader."""
    with pytest.raises(JobError, match="the records are wrong"):
        processes.read(refuse, *sh("seq 100000"))


def test_a_program_that_failed_is_the_reason_why_its_output_cannot_be_read(processes: Processes) -> None:
    for reader in (refuse, lambda stream: stream.read()):
        with pytest.raises(ToolError, match="sh ended with exit code 3: damaged"):
            processes.read(reader, *sh("seq 100000; echo damaged >&2; exit 3"))


def test_every_command_is_recorded_as_it_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")  # pragma: allowlist secret: of the documentation
    processes = Processes(tmp_path, Redactor("NA12878"))
    out = tmp_path / "a file"
    processes.run("sh", "-c", "echo NA12878", stdout=out)
    processes.run("ls", "-d", tmp_path, f"--ignore={tmp_path}/x")
    processes.output("echo", "wJalrXUtnFEMI")
    processes.pipe(lambda pipe: pipe.close(), ["cat", "-"], ["cat", out], stdout=tmp_path / "end")
    assert processes.commands == [
        "sh -c 'echo NA12878' > 'a file'",
        "ls -d . --ignore=x",
        "echo '<secret>'",
        "cat - | cat 'a file' > end",
    ]


_EARLIER: set[int] = set()


@pytest.fixture(autouse=True)
def _record_earlier_children() -> None:
    _EARLIER.clear()
    _EARLIER.update(children())


def children() -> set[int]:
    """Return the ids of the running children that this test started; servers of other tests may run."""
    statuses = ((int(folder.name), status_of(int(folder.name))) for folder in Path("/proc").glob("[0-9]*"))
    return {pid for pid, (state, parent) in statuses if parent == os.getpid() and state != "Z"} - _EARLIER


def status_of(pid: int) -> tuple[str, int]:
    """Return state and parent of a process; "Z" if it has ended."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0
    return state, int(parent)


def wait_for_end(pid: int) -> bool:
    """Wait until a process has ended."""
    return bool(eventually(lambda: status_of(pid)[0] == "Z", f"the end of {pid}"))


def read_pid(path: Path) -> int:
    """Wait until a program has written a process id to a file, and return it."""
    return int(eventually(lambda: path.exists() and path.read_text().strip(), path.name))


def test_a_program_writes_its_output_to_a_file(processes: Processes, tmp_path: Path) -> None:
    processes.run("echo", "a b", "$HOME", stdout=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a b $HOME\n"
    assert processes.output("printf", "%s", 7) == "7"


def test_an_error_has_the_exit_code_and_the_last_lines_of_stderr(processes: Processes) -> None:
    with pytest.raises(ToolError) as raised:
        processes.run(*sh("echo first >&2; echo last words >&2; exit 3"))
    assert str(raised.value) == "sh ended with exit code 3: last words"
    assert (raised.value.tool, raised.value.tail, raised.value.failure_class, raised.value.exit_code) == (
        "sh",
        ("first", "last words"),
        "TOOL_FAILED",
        70,
    )


def test_only_the_last_twenty_lines_are_kept(processes: Processes) -> None:
    with pytest.raises(ToolError) as raised:
        processes.run(*sh("seq 100 >&2; exit 1"))
    assert raised.value.tail == tuple(str(number) for number in range(81, 101))


@pytest.mark.parametrize(
    ("script", "failure_class", "message"),
    [
        ("kill -9 $$", "OUT_OF_MEMORY", "sh was killed, most likely for using too much memory"),
        ("echo \"terminate called after throwing 'std::bad_alloc'\" >&2; exit 134", "OUT_OF_MEMORY", None),
        ("echo 'write failed: No space left on device' >&2; exit 1", "NO_SPACE", None),
        ("echo 'Failed to write into temp/bin-1.dat: iostream error' >&2; exit 1", "NO_SPACE", None),
        ("echo boost::thread_resource_error >&2; exit 2", "OUT_OF_MEMORY", None),
        ("ulimit -v 300000; echo '@CO' | samtools sort -m 2G -", "OUT_OF_MEMORY", None),
        ("exec no-such-interpreter", "INTERNAL", None),
        ("exit 1", "TOOL_FAILED", "sh ended with exit code 1"),
    ],
)
def test_the_failure_class_follows_from_exit_code_and_stderr(
    processes: Processes, script: str, failure_class: str, message: str | None
) -> None:
    with pytest.raises(ToolError) as raised:
        processes.run(*sh(script))
    assert raised.value.failure_class == failure_class
    assert message in (None, str(raised.value))


REASONS = {
    "before a long help": ("echo '*** no such option --x ***' >&2; seq 800 >&2", "*** no such option --x ***"),
    "of an exception": ("printf 'terminate called\n  what():  bad input\nbye\n' >&2", "what():  bad input"),
    "in the last line": ("seq 800 >&2", "800"),
}


@pytest.mark.parametrize(("script", "reason"), REASONS.values(), ids=REASONS)
def test_the_message_has_the_line_that_says_why(processes: Processes, script: str, reason: str) -> None:
    with pytest.raises(ToolError) as raised:
        processes.run(*sh(f"{script}; exit 1"))
    assert raised.value.sentence == reason
    assert str(raised.value) == f"sh ended with exit code 1: {reason}"


@pytest.mark.parametrize(("free", "failure_class"), [(0, "NO_SPACE"), (1 << 20, "TOOL_FAILED")])
def test_a_full_disk_is_reported_even_if_the_program_does_not_report_it(
    tmp_path: Path, free: int, failure_class: str
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk is not allowed here")
    try:
        fill = f"head -c {(4 << 20) - free} /dev/zero > file 2> error; exit 1"
        with pytest.raises(ToolError) as raised:
            Processes(tmp_path).run(*sh(fill))
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)
    assert raised.value.failure_class == failure_class
    assert ("on a full scratch disk" in str(raised.value)) == (failure_class == "NO_SPACE")


def test_a_missing_program_is_named(processes: Processes) -> None:
    with pytest.raises(JobError, match="isaac-align is not installed"):
        processes.run("isaac-align", "--version")


def test_a_pipe_passes_all_data_on(processes: Processes, tmp_path: Path) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(DATA)

    processes.pipe(feed, ["cat"], ["cat"], ["cat"], stdout=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert children() == set()


def test_without_a_feed_the_first_program_has_empty_input(processes: Processes, tmp_path: Path) -> None:
    processes.pipe(None, ["cat"], ["wc", "-c"], stdout=tmp_path / "out")
    assert (tmp_path / "out").read_text().strip() == "0"


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ([sh("exit 3"), ["cat"], ["cat"]], "sh ended with exit code 3"),
        ([["cat"], sh("cat > /dev/null; exit 4"), ["cat"]], "sh ended with exit code 4"),
        ([["cat"], ["cat"], sh("cat > /dev/null; exit 5")], "sh ended with exit code 5"),
        ([["cat"], ["cat"], sh("exit 6")], "sh ended with exit code 6"),
        ([["cat"], sh("kill -9 $$"), ["cat"]], "sh was killed, most likely for using too much memory"),
        ([sh("cat; echo 'write: Broken pipe' >&2; exit 1"), sh("exit 7")], "sh ended with exit code 7"),
        ([sh("cat; exit 1"), sh("cat > /dev/null; exit 2")], "sh ended with exit code 1"),
    ],
    ids=["first", "middle", "last", "last, before it read", "killed", "a writer that lost its reader", "two"],
)
def test_the_error_names_the_first_program_that_failed_by_itself(
    processes: Processes, commands: list[Command], message: str
) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(DATA)

    with pytest.raises(ToolError) as raised:
        processes.pipe(feed, *commands)
    assert str(raised.value) == message
    assert children() == set()


def test_a_writer_whose_reader_stopped_early_has_failed(processes: Processes) -> None:
    """SIGPIPE is an error: some of the data was lost."""
    with pytest.raises(ToolError, match=f"^yes ended with exit code -{int(signal.SIGPIPE)}$"):
        processes.pipe(None, ["yes"], ["head", "-n", "1"])


def test_a_feed_that_raises_ends_all_programs(processes: Processes, tmp_path: Path) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(DATA)
        raise ValueError("the reads are truncated")

    with pytest.raises(ValueError, match="the reads are truncated"):
        processes.pipe(feed, ["cat"], sh("cat > /dev/null; touch finished"))
    assert children() == set()
    assert not (tmp_path / "finished").exists()


def test_several_pipes_are_fed_side_by_side(processes: Processes, tmp_path: Path) -> None:
    def feed(outs: Sequence[BinaryIO]) -> None:
        for number, out in enumerate(outs):
            out.write(DATA * number)

    processes.feed_pipes(feed, *([["cat"], sh(f"wc -c > {number}")] for number in range(3)))
    assert [int((tmp_path / str(number)).read_text()) for number in range(3)] == [0, len(DATA), 2 * len(DATA)]
    assert children() == set()
    assert [command for command in processes.commands if command.startswith("cat | ")] == processes.commands


@pytest.mark.parametrize("script", ["exit 7", "cat > /dev/null; exit 7"], ids=["while it is fed", "afterwards"])
def test_the_failure_of_one_of_several_pipes_ends_the_others(processes: Processes, tmp_path: Path, script: str) -> None:
    hangs = sh("cat > /dev/null; sleep 600; touch finished")

    def feed(outs: Sequence[BinaryIO]) -> None:
        for out in outs:
            out.write(DATA)

    with pytest.raises(ToolError, match="sh ended with exit code 7"):
        processes.feed_pipes(feed, [hangs], [sh(script)])
    assert children() == set()
    assert not (tmp_path / "finished").exists()


def test_the_reader_in_a_pipe_is_stopped_before_the_writer(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the reader takes the end of its input for the end of the data."""
    kill = os.killpg

    def slow_kill(group: int, number: int) -> None:
        kill(group, number)
        time.sleep(0.2)

    def feed(out: BinaryIO) -> None:
        out.write(DATA)
        monkeypatch.setattr("seqdrop.jobs.processes.os.killpg", slow_kill)
        raise ValueError("the reads are truncated")

    with pytest.raises(ValueError, match="truncated"):
        processes.pipe(feed, ["cat"], ["cat"], sh("cat > /dev/null; touch finished"))
    assert not (tmp_path / "finished").exists()


def test_stop_ends_a_program_and_its_children(processes: Processes, tmp_path: Path) -> None:
    def stop() -> None:
        read_pid(tmp_path / "pid")
        processes.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(ToolError, match=f"exit code -{int(signal.SIGTERM)}"):
        processes.run(*sh("sleep 600 & echo $! > pid; wait"))
    stopper.join()
    assert wait_for_end(read_pid(tmp_path / "pid"))
    assert children() == set()


def test_nothing_starts_after_stop(processes: Processes) -> None:
    processes.stop()
    processes.stop()
    with pytest.raises(JobError, match="the job is ending"):
        processes.run("true")


def test_stop_ends_the_processes_that_a_program_left(processes: Processes, tmp_path: Path) -> None:
    processes.run(*sh("sleep 600 > /dev/null 2>&1 & echo $! > pid"))
    pid = int((tmp_path / "pid").read_text())
    processes.stop()
    try:
        assert wait_for_end(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):  # if another process adopts orphans
            os.kill(pid, signal.SIGKILL)


def test_run_parallel_returns_the_results_in_order(processes: Processes) -> None:
    def late(number: int) -> str:
        return processes.output(*sh(f"sleep 0.0{number}; echo {number}")).strip()

    assert processes.run_parallel(late, [4, 3, 2, 1], workers=4) == ["4", "3", "2", "1"]


def test_an_error_in_run_parallel_ends_all_programs(processes: Processes) -> None:
    def work(script: str) -> None:
        processes.run(*sh(script))

    started = time.monotonic()
    with pytest.raises(ToolError, match="exit code 9"):
        processes.run_parallel(work, ["sleep 0.2; exit 9", "sleep 600"], workers=2)
    assert time.monotonic() - started < LONG
    assert children() == set()


def test_a_program_that_starts_during_stop_is_stopped_too(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, popen = threading.Event(), subprocess.Popen
    programs: list[subprocess.Popen[bytes]] = []

    def slow_popen(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        programs.append(popen(*args, **more))
        started.set()
        time.sleep(0.3)
        return programs[0]

    def work() -> None:
        with contextlib.suppress(JobError):
            processes.run("sleep", "600")

    monkeypatch.setattr("seqdrop.jobs.processes.subprocess.Popen", slow_popen)
    worker = threading.Thread(target=work)
    worker.start()
    started.wait()
    processes.stop()
    worker.join(LONG)
    still_running = worker.is_alive()
    programs[0].kill()
    worker.join()
    assert not still_running


def test_log_and_last_lines_do_not_have_the_sample_id(tmp_path: Path) -> None:
    """In a process of its own: the logger writes to the standard output at the time of its creation."""
    program = f"""
from pathlib import Path
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.redaction import Redactor
try:
    Processes(Path({str(tmp_path)!r}), Redactor("NA12878")).run(
        "sh", "-c", "echo reading s3://bucket/NA12878/NA12878.bam, SM:NA12878, XNA12878X >&2; exit 1", "NA12878"
    )
except ToolError as error:
    print(error, error.tail)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "<sample>" in done.stdout
    assert done.stdout.replace("XNA12878X", "").count("NA12878") == 0


def test_paths_in_the_directory_of_the_job_are_relative(processes: Processes, tmp_path: Path) -> None:
    printed = processes.output("echo", tmp_path / "a.bam", f"x##idx##{tmp_path}/a.bam.bai", "/etc/hosts").split()
    assert printed == ["a.bam", "x##idx##a.bam.bai", "/etc/hosts"]
    assert processes.output("pwd").strip() == str(tmp_path)


def test_log_lines_are_json(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from seqdrop.jobs.processes import Processes
Processes(Path({str(tmp_path)!r})).run("sh", "-c", "echo hello >&2")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["message"], line.get("tool"), line.get("command")) for line in lines] == [
        ("command", None, "sh -c echo hello >&2"),
        ("hello", "sh", None),
    ]


def test_the_reader_of_a_pipe_gets_all_output(processes: Processes) -> None:
    found = []
    processes.pipe(
        lambda pipe: pipe.write(DATA) and None, ["cat"], ["cat"], reader=lambda out: found.append(out.read())
    )
    assert found == [DATA]


def test_an_error_of_the_reader_of_a_pipe_ends_its_programs(processes: Processes) -> None:
    def fail(_: BinaryIO) -> None:
        raise OSError("full")

    begin = time.monotonic()
    with pytest.raises(OSError, match="full"):
        processes.pipe(None, ["cat", "/dev/zero"], ["cat"], reader=fail)
    assert time.monotonic() - begin < LONG


def test_the_failure_of_a_program_comes_before_that_of_the_reader_of_its_output(processes: Processes) -> None:
    def refuse(out: BinaryIO) -> None:
        raise JobError("TOOL_FAILED", f"{len(out.read())} bytes are no BAM")

    with pytest.raises(ToolError, match="sh ended with exit code 3: broken"):
        processes.pipe(None, sh("echo half; echo broken >&2; exit 3"), reader=refuse)
    with pytest.raises(JobError, match="5 bytes are no BAM"):
        processes.pipe(None, sh("echo half"), reader=refuse)
