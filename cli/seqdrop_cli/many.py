"""Run several samples with one command: start all, then follow each and download its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from seqdrop_cli import planned, reference, run
from seqdrop_cli.errors import INTERRUPTED_EXIT, KNOWN_ERRORS, CliError, ResultsNotFetchedError, describe_error
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.planned import Planned
from seqdrop_cli.run import RunRequest, RunResult
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack

Failed = tuple[str, CliError]  # a sample and its error


def show_plan(stack: Stack, request: RunRequest, samples: Sequence[Fastqs]) -> None:
    """Print the samples of a command as a table."""
    tools = request.choices.tools(stack.default_tools)
    name = request.source.name if request.source else reference.resolve(stack, request.reference, tools["aligner"])
    kind = {"alignment_format": request.choices.alignment_format, "form": request.choices.form}
    planned.show(stack, [Planned.of(one, reference=name, **tools, **kind) for one in samples])


def run_all(stack: Stack, request: RunRequest, samples: Sequence[Fastqs]) -> list[RunResult]:
    """Run all samples; raise CliError at the end if some failed. `request` has the choices of all runs."""
    results = request.results or Path("results")
    requests = [replace(request, fastqs=one, results=None) for one in samples]
    if request.results:
        requests = [replace(each, results=results / each.fastqs.sample) for each in requests]
    started, failed, ended = [], list[Failed](), list[RunResult]()
    for each in requests:
        with _collect(each, failed):
            started.append((each, run.start(stack, each)))
    for each, run_id in started:
        with _collect(each, failed):
            ended.append(run.finish(stack, each, run_id))
    if failed:
        raise _error_of_all(failed, len(samples))
    return ended


@contextmanager
def _collect(request: RunRequest, failed: list[Failed]) -> Iterator[None]:
    """Print the error of one sample, so that the others go on; an interruption ends them all."""
    try:
        yield
    except KNOWN_ERRORS as raised:
        error = raised if isinstance(raised, CliError) else CliError(describe_error(raised))
        if error.code == INTERRUPTED_EXIT:
            raise
        say(str(error).strip(), style="red")
        failed.append((request.fastqs.sample, error))


def _error_of_all(failed: Sequence[Failed], total: int) -> CliError:
    """Return the error of the command, with the exit code that its samples share, else 1.

    If results could not be downloaded, it is a ResultsNotFetchedError: an AWS of this command must stay up.
    """
    message = f"\n{len(failed)} of {total} samples failed: {', '.join(sample for sample, _ in failed)}."
    if any(isinstance(error, ResultsNotFetchedError) for _, error in failed):
        return ResultsNotFetchedError(message)
    codes = {error.code for _, error in failed}
    return CliError(message, codes.pop() if len(codes) == 1 else 1)
