"""Define `seqdrop estimate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from seqdrop.plan.choices import Choices

from seqdrop_cli import estimate
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import (
    AlignerOption,
    AlignmentFormatOption,
    AsJson,
    CallerOption,
    FormOption,
    Region,
    StackName,
    check_value,
)
from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("estimate")
def estimate_command(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FASTQ|FOLDER|SHEET.csv", help="FASTQs, folders, or a samplesheet.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Compare the last runs with the estimates made before them.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--reference",
            callback=check_value,
            help="The reference of the runs. Default: DefaultReference of the stack.",
        ),
    ] = None,
    aligner: AlignerOption = None,
    caller: CallerOption = None,
    alignment_format: AlignmentFormatOption = None,
    form: FormOption = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Estimate price and time of samples before they run."""
    if bool(files) == history:
        raise CliError("Give FASTQs, folders or a samplesheet; or --history alone.")
    opened = stacks.open_stack(stack, region)
    if history:
        found = estimate.show_history(opened)
    else:
        tools = Choices(aligner=aligner or "", caller=caller or "").tools(opened.default_tools)
        kind = {"alignment_format": alignment_format or "", "form": form or ""}
        chosen = {"reference": name or opened["DefaultReference"], **tools, **kind}
        found = estimate.show(opened, estimate.samples_of(opened, files or (), chosen))
    if as_json:
        say_json(found)
