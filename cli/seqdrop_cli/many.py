"""Run several samples with one command: start all, then follow each and download its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seqdrop_cli import planned, reference, run
from seqdrop_cli.errors import CliError
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.planned import Planned
from seqdrop_cli.run import RunRequest, RunResult
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def show_plan(stack: Stack, request: RunRequest, samples: Sequence[Fastqs]) -> None:
    """Print the samples of a command as a table."""
    tools = request.choices.tools(stack.default_tools)
    name = request.source.name if request.source else reference.resolve(stack, request.reference, tools["aligner"])
    planned.show(stack, [Planned(one.sample, one.lanes, one.size, name, **tools) for one in samples])


def run_all(stack: Stack, request: RunRequest, samples: Sequence[Fastqs]) -> list[RunResult]:
    """Run all samples; raise CliError at the end if runs failed. `request` has the choices of all runs."""
    results = request.results or Path("results")
    requests = [replace(request, fastqs=one, results=None) for one in samples]
    if request.results:
        requests = [replace(each, results=results / each.fastqs.sample) for each in requests]
    started, failed, ended = [], [], list[RunResult]()
    for each in requests:
        try:
            started.append((each, run.start(stack, each)))
        except CliError as error:
            say(str(error).strip(), style="red")
            failed.append(each.fastqs.sample)
    for each, run_id in started:
        try:
            ended.append(run.finish(stack, each, run_id))
        except CliError as error:
            say(str(error).strip(), style="red")
            failed.append(each.fastqs.sample)
    if failed:
        raise CliError(f"\n{len(failed)} of {len(samples)} samples have no results: {', '.join(failed)}.")
    return ended
