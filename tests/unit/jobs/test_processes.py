"""seqdrop.jobs.processes: real small programs, alone and in rows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.processes import Command, Processes
from seqdrop.jobs.redaction import Redactor
from support.waiting import eventually

LONG = 60.0  # seconds; what is to end at once takes no tenth of it, what would go on takes ten times as long
DATA = b"0123456789abcdef" * 65_536  # 1 MiB: more than any pipe holds


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path, Redactor("NA12878"))


def sh(script: str) -> Command:
    return ["sh", "-c", script]


_BEFORE: set[int] = set()


@pytest.fixture(autouse=True)
def _what_runs_before() -> None:
    _BEFORE.clear()
    _BEFORE.update(children())


def children() -> set[int]:
    """The ids of all programs that a test has started and that are not over; servers of other tests may run."""
    found = ((int(folder.name), status_of(int(folder.name))) for folder in Path("/proc").glob("[0-9]*"))
    return {pid for pid, (state, parent) in found if parent == os.getpid() and state != "Z"} - _BEFORE


def status_of(pid: int) -> tuple[str, int]:
    """State and parent of a process; "Z" once it is over."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0
    return state, int(parent)


def gone(pid: int) -> bool:
    """Waits until a process has ended."""
    return bool(eventually(lambda: status_of(pid)[0] == "Z", f"the end of {pid}"))


def number_in(path: Path) -> int:
    """What a program writes of another's id, once it has."""
    return int(eventually(lambda: path.exists() and path.read_text().strip(), path.name))


def test_a_program_writes_its_output_to_a_file(processes: Processes, tmp_path: Path) -> None:
    processes.run("echo", "a b", "$HOME", stdout=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a b $HOME\n"
    assert processes.output("printf", "%s", 7) == "7"


def test_a_program_that_fails_says_how_in_its_last_words(processes: Processes) -> None:
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
    ("script", "failure_class", "sentence"),
    [
        ("kill -9 $$", "OUT_OF_MEMORY", "sh was killed, most likely for memory"),
        ("echo \"terminate called after throwing 'std::bad_alloc'\" >&2; exit 134", "OUT_OF_MEMORY", None),
        ("echo 'write failed: No space left on device' >&2; exit 1", "NO_SPACE", None),
        ("exit 1", "TOOL_FAILED", "sh ended with exit code 1"),
    ],
)
def test_the_class_of_a_failure_is_read_from_how_it_ended(
    processes: Processes, script: str, failure_class: str, sentence: str | None
) -> None:
    with pytest.raises(ToolError) as raised:
        processes.run(*sh(script))
    assert raised.value.failure_class == failure_class
    assert sentence in (None, str(raised.value))


@pytest.mark.parametrize(("kept", "failure_class"), [(0, "NO_SPACE"), (1 << 20, "TOOL_FAILED")])
def test_a_disk_without_room_is_told_of_though_the_program_does_not_say_so(
    tmp_path: Path, kept: int, failure_class: str
) -> None:
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no disk of its own may be mounted here")
    try:
        fill = f"head -c {(4 << 20) - kept} /dev/zero > file 2> error; exit 1"
        with pytest.raises(ToolError) as raised:
            Processes(tmp_path).run(*sh(fill))
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)
    assert raised.value.failure_class == failure_class
    assert ("the scratch disk being full" in str(raised.value)) == (failure_class == "NO_SPACE")


def test_a_program_that_is_not_there_is_named(processes: Processes) -> None:
    with pytest.raises(JobError, match="isaac-align is not installed here"):
        processes.run("isaac-align", "--version")


def test_a_row_of_programs_passes_everything_on(processes: Processes, tmp_path: Path) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(DATA)

    processes.pipe(feed, ["cat"], ["cat"], ["cat"], stdout=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert children() == set()


def test_without_a_feed_the_first_program_reads_nothing(processes: Processes, tmp_path: Path) -> None:
    processes.pipe(None, ["cat"], ["wc", "-c"], stdout=tmp_path / "out")
    assert (tmp_path / "out").read_text().strip() == "0"


@pytest.mark.parametrize(
    ("commands", "culprit"),
    [
        ([sh("exit 3"), ["cat"], ["cat"]], "sh ended with exit code 3"),
        ([["cat"], sh("cat > /dev/null; exit 4"), ["cat"]], "sh ended with exit code 4"),
        ([["cat"], ["cat"], sh("cat > /dev/null; exit 5")], "sh ended with exit code 5"),
        ([["cat"], ["cat"], sh("exit 6")], "sh ended with exit code 6"),
        ([["cat"], sh("kill -9 $$"), ["cat"]], "sh was killed, most likely for memory"),
        ([sh("cat; echo 'write: Broken pipe' >&2; exit 1"), sh("exit 7")], "sh ended with exit code 7"),
        ([sh("cat; exit 1"), sh("cat > /dev/null; exit 2")], "sh ended with exit code 1"),
    ],
    ids=["first", "middle", "last", "last, before it read", "killed", "a writer that lost its reader", "two"],
)
def test_the_program_to_blame_is_the_first_that_failed_by_itself(
    processes: Processes, commands: list[Command], culprit: str
) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(DATA)

    with pytest.raises(ToolError) as raised:
        processes.pipe(feed, *commands)
    assert str(raised.value) == culprit
    assert children() == set()


def test_a_writer_whose_reader_stopped_early_has_failed(processes: Processes) -> None:
    """SIGPIPE is nobody's success: not all that went in came out."""
    with pytest.raises(ToolError, match=f"^yes ended with exit code -{int(signal.SIGPIPE)}$"):
        processes.pipe(None, ["yes"], ["head", "-n", "1"])


def test_a_feed_that_raises_ends_all_programs(processes: Processes, tmp_path: Path) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(DATA)
        raise ValueError("the reads are cut off")

    with pytest.raises(ValueError, match="the reads are cut off"):
        processes.pipe(feed, ["cat"], sh("cat > /dev/null; touch finished"))
    assert children() == set()
    assert not (tmp_path / "finished").exists()


def test_who_reads_is_told_to_stop_before_who_writes(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the one behind sees an end of its input, and finishes what is half."""
    kill = os.killpg

    def slowly(group: int, how: int) -> None:
        kill(group, how)
        time.sleep(0.2)

    def feed(out: BinaryIO) -> None:
        out.write(DATA)
        monkeypatch.setattr("seqdrop.jobs.processes.os.killpg", slowly)
        raise ValueError("the reads are cut off")

    with pytest.raises(ValueError, match="cut off"):
        processes.pipe(feed, ["cat"], ["cat"], sh("cat > /dev/null; touch finished"))
    assert not (tmp_path / "finished").exists()


def test_stop_ends_a_program_and_what_it_started(processes: Processes, tmp_path: Path) -> None:
    def stop() -> None:
        number_in(tmp_path / "pid")
        processes.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(ToolError, match=f"exit code -{int(signal.SIGTERM)}"):
        processes.run(*sh("sleep 600 & echo $! > pid; wait"))
    stopper.join()
    assert gone(number_in(tmp_path / "pid"))
    assert children() == set()


def test_nothing_starts_after_stop(processes: Processes) -> None:
    processes.stop()
    processes.stop()
    with pytest.raises(JobError, match="the job is ending"):
        processes.run("true")


def test_stop_ends_what_a_program_left_behind(processes: Processes, tmp_path: Path) -> None:
    processes.run(*sh("sleep 600 > /dev/null 2>&1 & echo $! > pid"))
    pid = int((tmp_path / "pid").read_text())
    processes.stop()
    try:
        assert gone(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):  # where somebody waits for orphans
            os.kill(pid, signal.SIGKILL)


def test_spread_answers_in_the_order_of_the_items(processes: Processes) -> None:
    def late(number: int) -> str:
        return processes.output(*sh(f"sleep 0.0{number}; echo {number}")).strip()

    assert processes.run_parallel(late, [4, 3, 2, 1], workers=4) == ["4", "3", "2", "1"]


def test_an_error_of_one_ends_all_that_are_spread(processes: Processes) -> None:
    def work(script: str) -> None:
        processes.run(*sh(script))

    started = time.monotonic()
    with pytest.raises(ToolError, match="exit code 9"):
        processes.run_parallel(work, ["sleep 0.2; exit 9", "sleep 600"], workers=2)
    assert time.monotonic() - started < LONG
    assert children() == set()


def test_a_program_that_starts_while_all_are_stopped_is_stopped_too(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, begin = threading.Event(), subprocess.Popen
    begun: list[subprocess.Popen[bytes]] = []

    def begin_slowly(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        begun.append(begin(*args, **more))
        started.set()
        time.sleep(0.3)
        return begun[0]

    def work() -> None:
        with contextlib.suppress(JobError):
            processes.run("sleep", "600")

    monkeypatch.setattr("seqdrop.jobs.processes.subprocess.Popen", begin_slowly)
    worker = threading.Thread(target=work)
    worker.start()
    started.wait()
    processes.stop()
    worker.join(LONG)
    late = worker.is_alive()
    begun[0].kill()
    worker.join()
    assert not late


def test_the_sample_reaches_no_log_line_and_no_tail(tmp_path: Path) -> None:
    """In a process of its own: the logger writes to the standard output it found when it was made."""
    program = f"""
from pathlib import Path
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.child import ToolError
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


def test_a_word_that_holds_the_sample_by_chance_is_left(tmp_path: Path) -> None:
    assert Redactor("t").redact("the job t ended: t.bam") == "the job <sample> ended: <sample>.bam"


def test_paths_in_the_jobs_directory_are_given_relative_to_it(processes: Processes, tmp_path: Path) -> None:
    words = processes.output("echo", tmp_path / "a.bam", f"x##idx##{tmp_path}/a.bam.bai", "/etc/hosts").split()
    assert words == ["a.bam", "x##idx##a.bam.bai", "/etc/hosts"]
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
