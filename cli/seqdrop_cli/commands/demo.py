"""Define `seqdrop demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from seqdrop.plan.choices import Choices

from seqdrop_cli import preflight
from seqdrop_cli.commands.opening import open_or_start
from seqdrop_cli.commands.parameters import (
    AlignerOption,
    AlignmentFormatOption,
    AsJson,
    CallerOption,
    Executor,
    ExecutorOption,
    Parameters,
    Region,
    StackName,
)
from seqdrop_cli.demo import command as demo
from seqdrop_cli.demo.files import SEED
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("demo")
def demo_command(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the simulated files and the results in this folder.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives another genome, sample and reads.")] = SEED,
    aligner: AlignerOption = None,
    caller: CallerOption = None,
    alignment_format: AlignmentFormatOption = None,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Simulate known variants, run the pipeline, count what it finds.

    With --stack, this is the acceptance test of a deployment.
    """
    with open_or_start(stack, region, executor, parameter, needs_reference=False) as opened:
        choices = Choices(aligner=aligner or "", caller=caller or "", alignment_format=alignment_format or "")
        preflight.check_tools(opened, choices.tools(opened.default_tools))
        figures = demo.run_demo(opened, keep, seed, choices)
    if as_json:
        say_json(figures)
