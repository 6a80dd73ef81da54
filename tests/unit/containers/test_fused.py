"""containers.fused: the order of the steps, what goes on after a failure, and stop signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from seqdrop.jobs import arguments, kept, scratch
from seqdrop.plan import layout, steps
from seqdrop.plan.choices import Choices
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


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fused.Runner]:
    monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    space = scratch.create("fused")
    yield fused.Runner(space)
    space.remove()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_a_step_knows_the_folder_of_the_shared_files(runner: fused.Runner) -> None:
    assert runner.run(python(f"import os, sys; sys.exit(7 if os.path.isdir(os.environ[{kept.FOLDER!r}]) else 1)")) == 7
    assert kept.FOLDER not in os.environ


def test_a_step_that_was_killed_has_the_exit_code_of_a_shell(runner: fused.Runner) -> None:
    assert runner.run(python("import os; os.kill(os.getpid(), 9)")) == 137


def test_a_stop_signal_ends_the_running_step_and_no_other_one_starts(runner: fused.Runner, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    script = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"pathlib.Path({str(mark)!r}).touch()\n"
        "time.sleep(300)"
    )

    def stop() -> None:
        eventually(mark.exists, "the step")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    assert runner.run(python(script)) == 143
    thread.join()
    assert runner.run(python(f"import pathlib; pathlib.Path({str(tmp_path / 'next')!r}).touch()")) == 143
    assert not (tmp_path / "next").exists()


def test_a_full_disk_is_reported_by_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQDROP_SCRATCH", str(tmp_path / "missing"))
    with fused.kept_folder() as folder:
        assert folder is None
