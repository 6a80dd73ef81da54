"""Define `seqdrop run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from seqdrop.plan.extras import NO_PANEL

from seqdrop_cli import folders, many, planned, preflight, run
from seqdrop_cli.commands.opening import open_or_start
from seqdrop_cli.commands.parameters import (
    AlignerOption,
    AlignmentFormatOption,
    AsJson,
    CallerOption,
    Executor,
    ExecutorOption,
    FormOption,
    Layout,
    MaxCostOption,
    Parameters,
    Priority,
    Region,
    StackName,
    Yes,
    check_value,
    tool_options,
)
from seqdrop_cli.errors import CliError
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.reference import Source
from seqdrop_cli.run import RunRequest
from seqdrop_cli.screen import say_json

app = typer.Typer()


@app.command("run")
def run_command(
    fastqs: Annotated[
        list[Path],
        typer.Argument(
            metavar="FASTQ|BAM|FOLDER",
            help="FASTQs in any order, or folders of them: they are paired by name. Or unaligned BAMs or CRAMs.",
        ),
    ],
    sample: Annotated[str | None, typer.Option(help="Sample id. Default: from the file names.")] = None,
    genome: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="REF",
            callback=check_value,
            help="A prepared reference, or a GENOME.fa to prepare first. Default: DefaultReference of the stack.",
        ),
    ] = None,
    genes: Annotated[Path | None, typer.Option(metavar="GENES", help="The genes of the GENOME.fa.")] = None,
    intervals: Annotated[
        str | None,
        typer.Option(
            metavar="BED",
            callback=check_value,
            help="Call variants only in these regions: a BED file, or the name of one beside the reference.",
        ),
    ] = None,
    panel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            callback=check_value,
            help="A panel of the reference; none: the whole genome. Default: DefaultPanel of the stack.",
        ),
    ] = None,
    aligner: AlignerOption = None,
    caller: CallerOption = None,
    alignment_format: AlignmentFormatOption = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            metavar="LAYOUT",
            help="single or interleaved: FASTQs that are each all of a lane; single or paired: CRAMs. "
            "Default: by name and content.",
        ),
    ] = None,
    form: FormOption = None,
    priority: Annotated[Priority, typer.Option(help="Job queue of the run.")] = Priority.normal,
    max_cost: MaxCostOption = None,
    args: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP=OPTIONS", help=f"Options for the tool of a step. Repeatable.\n\n{tool_options()}"),
    ] = None,
    prefix: Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the bucket to upload to.")] = "",
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the results. Default: results/SAMPLE/RUN.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the samples as a table, and end.")] = False,
    yes: Yes = False,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Upload FASTQs, follow their runs, download the results.

    Several samples are shown as a table first, with price and time as earlier runs suggest.
    """
    if intervals and panel and panel != NO_PANEL:
        raise CliError("--intervals and --panel exclude each other: a panel has its own regions.")
    source = Source.of(Path(genome), genes, None) if genome and Path(genome).is_file() else None
    if genes and source is None:
        raise CliError("--genes needs --reference GENOME.fa, the genome of these genes.")
    name = None if source else genome
    stated = layout.value if layout else ""
    samples = folders.group(fastqs, stated) if sample is None else [Fastqs.of(fastqs, sample, stated)]
    request = RunRequest(
        samples[0],
        name,
        source,
        intervals=intervals or "",
        args=run.parse_args(args or ()),
        prefix=prefix,
        results=results,
        priority=priority.value,
        aligner=aligner or "",
        caller=caller or "",
        alignment_format=alignment_format or "",
        panel=panel or "",
        max_cost=max_cost or "",
        form=form or "",
    )
    with open_or_start(stack, region, executor, parameter, needs_reference=source is None) as opened:
        preflight.check_tools(opened, request.choices.tools(opened.default_tools), request.form)
        if dry_run or len(samples) > 1:
            many.show_plan(opened, request, samples)
        if dry_run:
            results_json: Any = [one.sample for one in samples]
        elif len(samples) == 1:
            results_json = run.run_pipeline(opened, request).to_json()
        else:
            planned.confirm(yes=yes)
            results_json = [result.to_json() for result in many.run_all(opened, request, samples)]
    if as_json:
        say_json(results_json)
