"""Jobs that are forked from a process with preloaded modules: as if each had an interpreter of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from embedded_aws.runners import JobSpec, process_tree
from embedded_aws.runners.process import ProcessAttempt, ProcessRunner
from embedded_server import eventually, has_ended, wait_for_end

RunJob = Callable[..., tuple[int, list[str]]]


class Installation:
    """A Python with a module `heavy` and programs."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(symlinks=True).create(folder)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        [self.packages] = folder.glob("lib/python*/site-packages")
        self.write_module("WHO = 'first'\n")

    def write_module(self, source: str) -> None:
        """Install the module that is preloaded; it also notes the process that imports it."""
        (self.packages / "heavy.py").write_text(f"import os\nIMPORTED_BY = os.getpid()\n{source}")

    def write_program(self, source: str, name: str = "program", python: str = "") -> Path:
        """Install a program as pip does."""
        program = self.bin / name
        program.write_text(f"#!{python or self.python}\n{source}")
        program.chmod(0o755)
        return program


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = Installation(tmp_path / "python")
    monkeypatch.setattr(sys, "executable", str(made.python))
    return made


@pytest.fixture
def runner(tmp_path: Path, installed: Installation) -> Iterator[ProcessRunner]:
    folder = tmp_path / "server"
    folder.mkdir()
    runner = ProcessRunner(folder, ["heavy"])
    yield runner
    runner.close()


def start(runner: ProcessRunner, *words: str, attempt: str = "1", **environment: str) -> ProcessAttempt:
    identity = {"AWS_BATCH_JOB_ID": "job", "AWS_BATCH_JOB_ATTEMPT": attempt}
    return runner.start(JobSpec("name", "", list(words or ["program"]), identity | environment))


def finish(attempt: ProcessAttempt) -> tuple[int, list[str]]:
    """Return the exit code and the output of an attempt."""
    code = eventually(lambda: (attempt.exit_code(),) if attempt.exit_code() is not None else None, "the end of a job")
    lines = attempt.new_lines()
    attempt.close()
    return code[0], lines


@pytest.fixture
def run_job(runner: ProcessRunner) -> RunJob:
    return lambda *words, **environment: finish(start(runner, *words, **environment))


def reported(run_job: RunJob, *words: str, **environment: str) -> dict[str, object]:
    """Return the JSON that a program prints."""
    code, lines = run_job(*words, **environment)
    assert code == 0, lines
    result: dict[str, object] = json.loads(lines[-1])
    return result


IS_FORKED = "import heavy, os\nprint(heavy.IMPORTED_BY != os.getpid())\n"


def test_programs_share_what_one_process_has_imported(installed: Installation, run_job: RunJob) -> None:
    installed.write_program("import heavy, json, os\nprint(json.dumps([heavy.IMPORTED_BY, os.getppid(), os.getpid()]))")
    (_, [first]), (_, [second]) = run_job(), run_job()
    [importer, parent, pid], [next_importer, _, next_pid] = json.loads(first), json.loads(second)
    assert importer == parent == next_importer
    assert len({importer, pid, next_pid, os.getpid()}) == 4


STATE = """
import json, os, random, signal, sys
print(json.dumps({
    "environment": dict(os.environ), "folder": os.getcwd(), "arguments": sys.argv, "path": sys.path, "name": __name__,
    "file": __file__, "executable": sys.executable, "leads": [os.getsid(0), os.getpgid(0)] == [os.getpid()] * 2,
    "open": sorted(os.listdir("/proc/self/fd"))[:3], "more": len(os.listdir("/proc/self/fd")) - 4,
    "stdin": os.readlink("/proc/self/fd/0"), "signals": [str(signal.getsignal(n)) for n in range(1, 32)],
    "comm": open("/proc/self/comm").read(), "umask": os.umask(0), "tty": sys.stdout.isatty(),
    "encodings": [sys.stdin.encoding, sys.stdout.encoding, sys.getfilesystemencoding()],
    "buffered": [sys.stdout.line_buffering, sys.stderr.line_buffering], "nice": os.nice(0),
    "bytes": os.environb[b"NAME"].decode(), "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, []))}))
"""


def test_a_forked_program_finds_what_one_finds_that_was_started(
    installed: Installation, runner: ProcessRunner, tmp_path: Path
) -> None:
    installed.write_program(STATE)
    plain = ProcessRunner(tmp_path / "server")
    try:
        results = [finish(start(one, "program", "a b", "ü", NAME="ä")) for one in (runner, plain)]
    finally:
        plain.close()
    forked, started = (json.loads(lines[-1]) for _, lines in results)
    assert forked["folder"] != started["folder"]
    text = json.dumps(started).replace(started["folder"], forked["folder"])
    assert forked == json.loads(text)


def test_random_numbers_of_forked_programs_differ(installed: Installation, run_job: RunJob) -> None:
    installed.write_program("import random\nprint(random.random())")
    installed.write_module("import random\nrandom.seed(1)\n")
    assert run_job()[1] != run_job()[1]


@pytest.mark.parametrize(
    ("source", "code", "lines"),
    [
        ("print('done')", 0, ["done"]),
        ("import sys\nsys.exit(75)", 75, []),
        ("import sys\nsys.exit('no reads')", 1, ["no reads"]),
        ("import os\nprint('lost')\nos._exit(3)", 3, []),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", 137, []),
        ("import atexit\natexit.register(print, 'last')\nprint('first')", 0, ["first", "last"]),
        ("file = open('out', 'w')\nfile.write('text')\nimport atexit\nprint('open')", 0, ["open"]),
        ("import threading, time\nthreading.Timer(0.2, print, ['thread']).start()", 0, ["thread"]),
        (
            "def f():\n    raise ValueError('bad')\nf()",
            1,
            [
                "Traceback (most recent call last):",
                '  File "PROGRAM", line 4, in <module>',
                "    f()",
                '  File "PROGRAM", line 3, in f',
                "    raise ValueError('bad')",
                "ValueError: bad",
            ],
        ),
    ],
)
def test_a_forked_program_ends_as_an_interpreter_does(
    installed: Installation, run_job: RunJob, source: str, code: int, lines: list[str]
) -> None:
    program = installed.write_program(source)
    assert run_job() == (code, [line.replace("PROGRAM", str(program)) for line in lines])
    installed.write_program(source, "own")
    assert run_job("own", PYTHONSAFEPATH="") == (
        code,
        [line.replace("PROGRAM", f"{program.parent}/own") for line in lines],
    )


def test_a_file_that_the_program_has_not_closed_is_complete(
    installed: Installation, run_job: RunJob, tmp_path: Path
) -> None:
    installed.write_program(f"file = open({str(tmp_path / 'out')!r}, 'w')\nfile.write('text')\n")
    assert run_job() == (0, [])
    assert (tmp_path / "out").read_text() == "text"


@pytest.mark.parametrize(
    "environment", [{"LANG": "C"}, {"TZ": "Asia/Tokyo"}, {"PYTHONUNBUFFERED": "1"}, {"OPENSSL_CONF": "/dev/null"}]
)
def test_a_variable_that_interpreters_read_at_their_start_needs_one(
    installed: Installation, run_job: RunJob, environment: dict[str, str]
) -> None:
    installed.write_program(IS_FORKED)
    assert run_job(**environment) == (0, ["False"])
    assert run_job() == (0, ["True"])


@pytest.mark.parametrize(
    "source",
    ["os.environ.get('LEVEL')", "os.getenv('LEVEL', '1')", "'LEVEL' in os.environ", "os.environb.get(b'LEVEL')"],
)
def test_a_variable_that_the_modules_read_while_they_were_imported_needs_an_interpreter(
    installed: Installation, run_job: RunJob, source: str
) -> None:
    installed.write_module(f"import os\nLEVEL = {source}\n")
    installed.write_program(IS_FORKED)
    assert run_job(LEVEL="2") == (0, ["False"])
    assert run_job() == (0, ["True"])


@pytest.mark.parametrize("source", ["dict(os.environ)", "os.environ.setdefault('LEVEL', '1')", "list(os.environb)"])
def test_modules_that_copy_or_change_the_environment_are_not_forked(
    installed: Installation, run_job: RunJob, source: str
) -> None:
    installed.write_module(f"import os\nLEVEL = {source}\n")
    installed.write_program(IS_FORKED)
    assert run_job() == (0, ["False"])


def test_a_command_that_is_too_long_for_a_message_is_started(installed: Installation, run_job: RunJob) -> None:
    installed.write_program("import sys\nprint(len(sys.argv[1]))\n" + IS_FORKED)
    assert run_job("program", "x" * 100_000) == (0, ["100000", "True"])
    assert run_job("program", "x" * 131_000) == (0, ["131000", "False"])
    assert run_job("program", "x") == (0, ["1", "True"])


def test_modules_that_start_a_thread_are_not_forked(installed: Installation, run_job: RunJob) -> None:
    installed.write_module("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")
    installed.write_program(IS_FORKED)
    assert run_job() == (0, ["False"])


def test_modules_that_cannot_be_imported_cost_no_job(installed: Installation, run_job: RunJob) -> None:
    installed.write_module("import no_such_module\n")
    installed.write_program("print('done')")
    assert [run_job(), run_job()] == [(0, ["done"])] * 2


def test_an_upgraded_module_is_imported_again_and_running_jobs_stay(
    installed: Installation, runner: ProcessRunner, run_job: RunJob, tmp_path: Path
) -> None:
    installed.write_program("import heavy\nprint(heavy.WHO)\n" + IS_FORKED)
    installed.write_program(
        "import sys\nprint('up', flush=True)\nsys.stdin.close()\nopen(sys.argv[1]).read()", "waiting"
    )
    os.mkfifo(tmp_path / "fifo")
    waiting = start(runner, "waiting", str(tmp_path / "fifo"))
    assert run_job(attempt="2") == (0, ["first", "True"])
    installed.write_module("WHO = 'the second'\n")
    assert run_job(attempt="3") == (0, ["the second", "True"])
    (tmp_path / "fifo").write_text("go on")
    assert finish(waiting) == (0, ["up"])


def test_other_programs_have_an_interpreter_of_their_own(
    installed: Installation, run_job: RunJob, tmp_path: Path
) -> None:
    installed.write_program("import os\nprint(os.getppid())", "isolated", f"{installed.python} -I")
    installed.write_program("import os\nprint(os.getppid())", "other", f"/usr/bin/env {installed.python}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(installed.write_program("import os\nprint(os.getppid())").read_bytes())
    elsewhere.chmod(0o755)
    here = str(os.getpid())
    assert [run_job(name)[1] for name in ("isolated", "other", str(elsewhere))] == [[here]] * 3
    assert run_job()[1] != [here]
    assert run_job("sh", "-c", "echo $PPID")[1] == [here]


LEAVER = """
import os, subprocess, sys, time
pids = [os.getpid(), subprocess.Popen(["sleep", "300"], start_new_session=True).pid]
if (pid := os.fork()) == 0:
    os.setsid()
    os.closerange(0, 3)
    time.sleep(300)
print(*pids, pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def leaver(installed: Installation, runner: ProcessRunner) -> tuple[ProcessAttempt, list[int]]:
    """A job that has started a program and forked a process, each in a session of its own."""
    installed.write_program(LEAVER)
    attempt = start(runner)
    line = eventually(attempt.new_lines, "the processes of the job")[0]
    return attempt, list(map(int, line.split()))


def test_all_processes_of_a_forked_program_end_with_it(leaver: tuple[ProcessAttempt, list[int]]) -> None:
    attempt, pids = leaver
    attempt.kill()
    assert attempt.exit_code() == 137
    assert all(map(wait_for_end, pids))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_forked_program_is_frozen_with_what_it_has_started(leaver: tuple[ProcessAttempt, list[int]]) -> None:
    attempt, pids = leaver
    attempt.freeze()
    assert eventually(lambda: [state(pid) for pid in pids] == ["T"] * 3, "the end of all activity")
    attempt.stop()
    assert all(map(wait_for_end, pids))


def test_a_forked_program_is_found_by_its_attempt_alone(
    installed: Installation, runner: ProcessRunner, leaver: tuple[ProcessAttempt, list[int]]
) -> None:
    attempt, pids = leaver
    other = start(runner, attempt="2")
    eventually(other.new_lines, "the other attempt")
    attempt.close()
    assert other.exit_code() is None
    found = process_tree.find({"AWS_BATCH_JOB_ID": "job", "AWS_BATCH_JOB_ATTEMPT": "2"})
    assert len(found) == 3
    assert not set(found) & set(pids)
    other.close()


def test_sigterm_reaches_a_forked_program(installed: Installation, runner: ProcessRunner) -> None:
    installed.write_program(
        "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\nprint('up', flush=True)\n"
        "signal.pause()"
    )
    attempt = start(runner)
    eventually(attempt.new_lines, "the handler")
    attempt.stop()
    assert attempt.exit_code() == 143
    attempt.close()


def test_jobs_end_with_the_process_that_they_are_forked_from(
    installed: Installation, runner: ProcessRunner, run_job: RunJob
) -> None:
    installed.write_program("import os, time\nprint(os.getppid(), flush=True)\ntime.sleep(300)")
    attempt = start(runner)
    [parent] = eventually(attempt.new_lines, "the parent")
    os.kill(int(parent), signal.SIGKILL)
    assert finish(attempt) == (137, [])
    installed.write_program("print('done')")
    assert run_job() == (0, ["done"])


SERVER = """
import sys, time
from pathlib import Path
from embedded_aws.runners import JobSpec
from embedded_aws.runners.process import ProcessRunner
sys.executable = sys.argv[2]
runner = ProcessRunner(Path(sys.argv[1]), ["heavy"])
attempt = runner.start(
    JobSpec("name", "", ["program"], {"AWS_BATCH_JOB_ID": "job", "AWS_BATCH_JOB_ATTEMPT": "1"}))
while not (lines := attempt.new_lines()):
    time.sleep(0.01)
print(*lines, flush=True)
time.sleep(300)
"""


def test_nothing_that_was_forked_survives_a_killed_server(tmp_path: Path) -> None:
    made = Installation(tmp_path / "python")
    made.write_program("import os, time\nprint(os.getppid(), os.getpid(), flush=True)\ntime.sleep(300)")
    words = [sys.executable, "-c", SERVER, str(tmp_path), str(made.python)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        pids = list(map(int, server.stdout.readline().split()))
        assert len(pids) == 2
        assert not any(map(has_ended, pids))
        server.kill()
    assert all(map(wait_for_end, pids))


def test_the_end_of_the_runner_ends_what_it_has_forked_from(installed: Installation, tmp_path: Path) -> None:
    installed.write_program("import os\nprint(os.getppid())")
    (tmp_path / "other").mkdir()
    runner = ProcessRunner(tmp_path / "other", ["heavy"])
    _, [parent] = finish(start(runner))
    assert not has_ended(int(parent))
    runner.close()
    assert not Path(f"/proc/{parent}").exists()


def test_temporary_files_of_a_forked_program_are_in_its_own_folder(installed: Installation, run_job: RunJob) -> None:
    installed.write_module("import tempfile\ntempfile.gettempdir()\n")
    installed.write_program("import heavy, os, tempfile\nprint(tempfile.gettempdir() == os.environ['TMPDIR'])\n")
    assert run_job() == (0, ["True"])
    installed.write_program(IS_FORKED)
    assert run_job() == (0, ["True"])


def test_a_forked_program_shows_its_environment_as_a_started_one(
    installed: Installation, runner: ProcessRunner
) -> None:
    installed.write_program("import os, time\nprint(sorted(os.environ), flush=True)\ntime.sleep(300)")
    attempt = start(runner, NAME="value")
    names = eventually(attempt.new_lines, "the variables of the job")[0]
    pid = attempt._process.pid
    shown = Path(f"/proc/{pid}/environ").read_bytes().decode().rstrip("\0").split("\0")
    assert "NAME=value" in shown
    assert str(sorted({line.partition("=")[0] for line in shown})) == names
    attempt.close()


def test_a_request_without_an_answer_ends_no_job(
    installed: Installation, runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.write_program("import time\nprint('up', flush=True)\ntime.sleep(300)", "waiting")
    installed.write_program(IS_FORKED)
    waiting = start(runner, "waiting")
    eventually(waiting.new_lines, "the start of the first job")
    monkeypatch.setattr(socket, "send_fds", lambda *_: (_ for _ in ()).throw(OSError("no buffer space")))
    assert finish(start(runner, attempt="2")) == (0, ["False"])
    assert waiting.exit_code() is None
    waiting.close()
