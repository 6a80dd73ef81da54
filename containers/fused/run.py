"""Run all steps of a run in one job, by the wrapper of each: a step that has its receipt ends at once.

The processes of the steps are forked from that of the job, which has imported what all of them need.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Any

import seqdrop.jobs.step  # noqa: F401  of all steps
from seqdrop import aws
from seqdrop.failure.verdict import BAD_DATA_EXIT, INTERNAL_EXIT, STOPPED_EXIT, USAGE_EXIT, JobError
from seqdrop.jobs import arguments, kept, reference_cache, scratch
from seqdrop.log import logger
from seqdrop.plan import forms, steps
from seqdrop.plan.names import WHOLE_GENOME, canonical
from seqdrop.signals import STOP_SIGNALS

FINAL = {USAGE_EXIT, BAD_DATA_EXIT, INTERNAL_EXIT}  # of a step: the steps that do not need its results go on
COMMON = ("results", *arguments.COMMON)
FORK = multiprocessing.get_context("fork")
SIGNAL_INTERVAL = 0.2  # seconds
Main = Callable[[Sequence[str]], None]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the steps of a run; end with the exit code of the first one that failed."""
    # --sample --reference --intervals --reads --aligner --caller in, the outputs of all steps out
    args = arguments.parse(argv, __doc__, *steps.FUSED.reads)
    logger.append_keys(run=args.run, step=steps.FUSED.name, job=os.environ.get("AWS_BATCH_JOB_ID", ""))
    commands = commands_of(args)
    aws.prepare("s3")
    with kept_folder() as folder:
        code = run_steps(commands, Runner(folder).run)
    if code:
        reference_cache.clear()  # a step that filled the disk could not remove the references that this job had kept
    sys.exit(code)


def commands_of(args: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command of each step that the plan has; end with 64 if the plan is not one of start_run."""
    tools = {"aligner": args.aligner, "caller": args.caller}
    try:
        if not isinstance(args.args, dict) or forms.not_fusible(tools):
            raise ValueError("args must be a JSON object, and the tools those of the image")
        used = steps.tools_of_run(tools)
    except (KeyError, ValueError) as error:
        logger.error("invalid arguments", reason=str(error))
        sys.exit(USAGE_EXIT)
    return {
        step.name: [f"run-{used[step.name].name.replace('_', '-')}", *flags(step, args)]
        for step in steps.STEPS
        if step.name in args.args
    }


def flags(step: steps.Step, args: argparse.Namespace) -> Iterator[str]:
    """Yield the flags of a step: its inputs and outputs, its own options, and the size of this job."""
    values = {**vars(args), "args": args.args[step.name], "parts": 1}  # this job calls the whole genome
    for word in (*step.reads, *step.writes, *COMMON):
        yield f"--{word}"
        yield as_text(values[word])


def as_text(value: Any) -> str:
    """Return a parsed value as Batch gives it to a job."""
    if isinstance(value, list):
        return canonical([item if isinstance(item, str) else str(item) for item in value])
    return WHOLE_GENOME if value is None else str(value)


@contextlib.contextmanager
def kept_folder() -> Iterator[scratch.Scratch | None]:
    """Create the folder of the files that steps share; without one, each step fetches its files."""
    try:
        scratch.remove_leftovers()
        space = scratch.create(steps.FUSED.name)
    except JobError as error:  # the first step will report it in its verdict
        logger.warning("no folder for shared files", reason=str(error))
        yield None
        return
    try:
        yield space
    finally:
        space.remove()


def run_steps(commands: dict[str, list[str]], run: Callable[[list[str]], int]) -> int:
    """Run the steps in order; return 0, or the exit code of the first one that failed.

    After a final failure, the steps go on that have a result to read. All other failures end the job at once: Batch
    tries it again, or knows why it was killed.
    """
    first, missing = 0, set[str]()
    for name, command in commands.items():
        if not steps.can_run(name, missing):
            missing.add(name)
            continue
        code = run(command)
        logger.info("step ended", ended=name, exit_code=code)
        if code and code not in FINAL:
            return code
        if code:
            first = first or code
            missing.add(name)
    return first


def main_of(program: str) -> Main:
    """Return the main function of a wrapper by the name of its program: `run-bwa`."""
    main: Main = import_module(f"containers.{program.removeprefix('run-').replace('-', '_')}.run").main
    return main


class Runner:
    """Runs one command after the other, and passes stop signals on to the one that runs."""

    def __init__(self, space: scratch.Scratch | None, find_main: Callable[[str], Main] = main_of) -> None:
        """Give each command the folder of the shared files. `find_main` finds the function of its program."""
        self._child: ForkProcess | None = None
        self._stopped = False
        self._space = space
        self._find_main = find_main
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)

    def run(self, command: list[str]) -> int:
        """Run a command until it ends; return its exit code, 143 if the job was stopped before."""
        child = FORK.Process(target=self._become, args=[command])
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # the child has the handlers of this process at first
        try:
            if self._stopped:
                return STOPPED_EXIT
            child.start()  # it has the lock of the folder, which stays as long as the step runs
            self._child = child
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self._stopped:  # the signal came before there was a child to pass it on to
            child.terminate()
        while child.is_alive():  # Python handles a signal that came to another thread between two waits
            child.join(SIGNAL_INTERVAL)
        code = INTERNAL_EXIT if child.exitcode is None else child.exitcode
        return code if code >= 0 else 128 - code

    def _become(self, command: list[str]) -> None:
        """Run a command in the process of its step, which begins as that of a program does."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self._space:
            os.environ[kept.FOLDER] = str(self._space.directory)
        sys.argv = command
        self._find_main(command[0])(command[1:])

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True
        if self._child:
            self._child.terminate()  # nothing if it has ended


if __name__ == "__main__":
    main()
