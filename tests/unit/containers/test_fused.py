"""containers.fused: the order of the steps, what goes on after a failure, and stop signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from seqdrop.jobs import arguments, kept, scratch
from seqdrop.plan import layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.signals import STOP_SIGNALS
from support.waiting import eventually

from containers.fused import run as fused

ALL = ("align", "call", "annotate", "collect", "compose")


@pytest.mark.parametrize(
    ("codes", "ran", "exit_code"),
    [
        ({}, ALL, 0),
        ({"align": 65}, ("align",), 65),
        ({"call": 70}, ("align", "call", "collect", "compose"), 70),  # annotate has nothing to read
        ({"annotate": 70}, ALL, 70),
        ({"collect": 70}, ALL, 70),
        ({"call": 65, "collect": 70}, ("align", "call", "collect", "compose"), 65),  # of the first one
        ({"call": 70, "annotate": 0, "compose": 64}, ("align", "call", "collect", "compose"), 70),
        ({"compose": 70}, ALL, 70),
        ({"call": 75}, ("align", "call"), 75),  # Batch tries again at once
        ({"call": 70, "collect": 75}, ("align", "call", "collect"), 75),
        ({"annotate": 143}, ("align", "call", "annotate"), 143),
        ({"collect": 137}, ("align", "call", "annotate", "collect"), 137),
    ],
)
def test_steps_go_on_that_have_a_result_to_read(codes: dict[str, int], ran: tuple[str, ...], exit_code: int) -> None:
    done: list[str] = []

    def run(command: list[str]) -> int:
        done.extend(command)
        return codes.get(command[0], 0)

    assert fused.run_steps({name: [name] for name in ALL}, run) == exit_code
    assert tuple(done) == ran


def words(aligner: str = "bwa", args: str = "") -> list[str]:
    """The command line of the job, as its state gives it."""
    jobs = {step: {"job_queue": "q", "vcpus": "1", "memory": "512"} for step in (*steps.names(), "fused")}
    plan = layout.plan(
        "S", "r", Choices("demo", args={"call": ["--ploidy", "1"]}), results_bucket="results",
        reference_bucket="references", genome="", aligner=aligner, caller="bcftools", form="fused",
        jobs={**jobs, "fused": {"job_queue": "q", "vcpus": "4", "memory": "4096"}},
    )  # fmt: skip
    job = {**plan["fused"], "args": args or plan["fused"]["args"]}
    values = {**plan, **job}
    return [text for word in (*steps.FUSED.reads, *fused.COMMON) for text in (f"--{word}", values[word])]


def parse(**choices: str) -> dict[str, list[str]]:
    return fused.commands_of(arguments.parse(words(**choices), None, *steps.FUSED.reads))


def test_each_step_gets_the_command_line_of_its_own_job() -> None:
    commands = parse()
    assert {name: command[0] for name, command in commands.items()} == {
        "align": "run-bwa",
        "call": "run-bcftools",
        "annotate": "run-snpeff",
        "collect": "run-samtools-stats",
        "compose": "run-report",
    }
    call = commands["call"]
    assert dict(zip(call[1::2], call[2::2], strict=True)) == {
        "--sample": "S",
        "--reference": "s3://references/demo/genome.fa",
        "--intervals": "all",
        "--bam": "s3://results/S/r/S.bam",
        "--parts": "1",
        "--vcf": "s3://results/S/r/S.vcf.gz",
        "--gvcf": "s3://results/S/r/S.g.vcf.gz",
        "--results": "s3://results/S/r",
        "--run": "r",
        "--attempt": "1",
        "--vcpus": "4",
        "--memory": "4096",
        "--args": '["--ploidy","1"]',
    }


@pytest.mark.parametrize("choices", [{"aligner": "isaac"}, {"aligner": "no-tool"}, {"args": "[]"}, {"args": "{"}])
def test_a_plan_that_start_run_did_not_make_is_refused(choices: dict[str, str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(**choices)
    assert end.value.code == 64


Run = Callable[[fused.Main], int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a function that runs the main function of a step, with one argument."""
    monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path))
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    space, mains = scratch.create("fused"), dict[str, fused.Main]()
    runner = fused.Runner(space, mains.__getitem__)

    def run(main: fused.Main) -> int:
        mains["run-step"] = main
        return runner.run(["run-step", "--flag"])

    yield run
    space.remove()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_step_has_its_command_line_and_the_folder_of_the_shared_files(run: Run) -> None:
    def main(argv: Sequence[str]) -> None:
        assert (sys.argv, argv) == (["run-step", "--flag"], ["--flag"])
        sys.exit(7 if Path(os.environ[kept.FOLDER]).is_dir() else 1)

    assert run(main) == 7
    assert kept.FOLDER not in os.environ


@pytest.mark.parametrize(
    ("end", "exit_code"), [(None, 0), (0, 0), (65, 65), (75, 75), ("it failed", 1), (ValueError("it failed"), 1)]
)
def test_a_step_has_the_exit_code_of_a_program(
    run: Run, end: int | str | Exception | None, exit_code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def main(_: Sequence[str]) -> None:
        sys.stdout.write("of the step\n")
        if isinstance(end, Exception):
            raise end
        sys.exit(end)

    sys.stdout.write("of the job\n")
    assert run(main) == exit_code
    out, err = capfd.readouterr()
    assert out == "of the job\nof the step\n"
    assert ("it failed" in err) == (exit_code == 1)


def test_a_step_that_was_killed_has_the_exit_code_of_a_shell(run: Run) -> None:
    assert run(lambda _: os.kill(os.getpid(), signal.SIGKILL)) == 137


def test_a_step_begins_with_the_signals_of_a_program(run: Run) -> None:
    def main(_: Sequence[str]) -> None:
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []).isdisjoint(STOP_SIGNALS)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        os.kill(os.getpid(), signal.SIGTERM)  # before the step has a handler
        time.sleep(30)

    assert run(main) == 143


def test_a_step_changes_nothing_in_the_next_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/before")

    def change(_: Sequence[str]) -> None:
        os.environ["HOME"] = "/changed"
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    folder = Path.cwd()
    assert run(change) == 0

    def check(_: Sequence[str]) -> None:
        unchanged = (os.environ["HOME"], Path.cwd(), signal.getsignal(signal.SIGTERM))
        sys.exit(0 if unchanged == ("/before", folder, signal.SIG_DFL) else 1)

    assert run(check) == 0


def test_a_step_waits_for_its_threads(run: Run, tmp_path: Path) -> None:
    def write() -> None:
        time.sleep(0.2)
        (tmp_path / "written").touch()

    assert run(lambda _: threading.Thread(target=write).start()) == 0
    assert (tmp_path / "written").exists()


def to_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def to_this_thread() -> None:
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


@pytest.mark.parametrize("send", [to_process, to_this_thread])
def test_a_stop_signal_ends_the_running_step_and_no_other_one_starts(
    run: Run, tmp_path: Path, send: Callable[[], None]
) -> None:
    """Also one that another thread gets while this one waits for the step."""
    mark = tmp_path / "started"

    def main(_: Sequence[str]) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        mark.touch()
        time.sleep(30)

    def stop() -> None:
        eventually(mark.exists, "the step")
        send()

    thread = threading.Thread(target=stop)
    thread.start()
    assert run(main) == 143
    thread.join()
    assert run(lambda _: (tmp_path / "next").touch()) == 143
    assert not (tmp_path / "next").exists()


def test_a_signal_that_comes_while_a_step_starts_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether this thread gets it, which blocks it until the process has started, or another one, at once."""
    start = fused.FORK.Process.start

    def start_late(child: fused.ForkProcess) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        start(child)

    monkeypatch.setattr(fused.FORK.Process, "start", start_late)
    assert run(lambda _: time.sleep(30)) == 143


def test_the_program_of_each_tool_is_that_of_its_wrapper() -> None:
    tools = [tool for step in steps.STEPS for tool in step.tools if tool.fusible]
    assert len(tools) >= len(steps.STEPS)
    for tool in tools:
        program = f"run-{tool.name.replace('_', '-')}"
        [entry] = entry_points(group="console_scripts", name=program)
        assert fused.main_of(program) is entry.load()


def test_a_full_disk_is_reported_by_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path / "missing"))
    with fused.kept_folder() as folder:
        assert folder is None
