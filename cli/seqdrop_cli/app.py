"""Define the commands of `seqdrop` and their options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from seqdrop import __version__
from seqdrop.log import logger
from seqdrop.plan import options, steps
from seqdrop.plan.choices import MAX_COST, Choices
from seqdrop.plan.extras import DEFAULT_PADDING, MAX_PADDING, NO_PANEL
from seqdrop.plan.names import DIPLOID, MAX_PLOIDY

from seqdrop_cli import (
    api,
    costs,
    download,
    embedded,
    estimate,
    fetch,
    folders,
    joint,
    known_references,
    logs,
    many,
    many_report,
    planned,
    preflight,
    qc,
    redrive,
    reference,
    reference_files,
    reference_list,
    resume,
    run,
    run_table,
    saved_references,
    status,
    stop,
    submit,
    usage,
    verify,
    why,
)
from seqdrop_cli.check import command as check
from seqdrop_cli.demo import command as demo
from seqdrop_cli.demo.files import SEED
from seqdrop_cli.errors import CliError, CommandGroup, interrupt_on_termination, warn
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.reference import Source
from seqdrop_cli.run import RunRequest
from seqdrop_cli.screen import messages_on_stderr, say, say_json
from seqdrop_cli.stack import Stack, local, open_stack

app = typer.Typer(
    cls=CommandGroup,
    epilog=usage.EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


policies = typer.Typer(cls=CommandGroup, help="Check QC policies.", no_args_is_help=True)
app.add_typer(policies, name="qc")


class Form(StrEnum):
    """The jobs of a run."""

    job_for_each_step = "split"  # `split` is a method of str
    one_job = "fused"
    calling_in_parts = "scattered"


class Priority(StrEnum):
    """The job queue of a run."""

    normal = "normal"
    high = "high"


class AlignmentFormat(StrEnum):
    """The format of the aligned reads of a run."""

    bam = "bam"
    cram = "cram"


class Layout(StrEnum):
    """The layout of the reads in the files of a run."""

    paired = "paired"
    single = "single"
    interleaved = "interleaved"


class CostGroup(StrEnum):
    """The groups by which prices are added up."""

    sample = "sample"
    step = "step"
    queue = "queue"


class Executor(StrEnum):
    """How the embedded AWS runs jobs."""

    auto = "auto"
    docker = "docker"
    process = "process"


def tool_options() -> str:
    """Return the options that `--args` accepts, by step and tool."""
    tools = [(step.name, tool) for step in steps.STEPS for tool in step.tools if tool.options]
    return "\n\n".join(f"{step} ({tool.name}): {options.describe(tool.options)}" for step, tool in tools)


def tool_option(choice: str, help_text: str) -> Any:
    """Return the option that chooses the tool of a step: `aligner`, `caller`."""
    [names] = [[tool.name for tool in step.tools] for step in steps.STEPS if step.choice == choice]

    def check(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(names)}")
        return value

    default = f"Default: {choice.title()} of the stack."
    return typer.Option(metavar="|".join(names), callback=check, help=f"{help_text} {default}")


def check_value(value: str | None) -> str | None:
    """Refuse an empty value, which `--reference "$REF"` has if the variable is not set: the default is not meant."""
    if value == "":
        raise typer.BadParameter("the value is empty: is a variable of the shell not set?")
    return value


def check_budget(value: str | None) -> str | None:
    """Refuse a budget that is not an amount in USD."""
    if value is not None and not MAX_COST.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not an amount in USD such as 12.50, more than 0")
    return value


def move_messages(context: typer.Context, as_json: bool) -> bool:
    """Print the messages of this command to standard error if it prints JSON."""
    if as_json:
        context.with_resource(messages_on_stderr())
    return as_json


StackName = Annotated[
    str | None,
    typer.Option("--stack", metavar="NAME", callback=check_value, help="A deployed stack. Default: the embedded AWS."),
]
Region = Annotated[
    str | None, typer.Option(callback=check_value, help="Region of the deployed stack. Default: AWS_REGION.")
]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run id, the beginning of one, 'latest', or a sample: its newest run.")
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", callback=move_messages, help="Print one JSON document, for programs; messages go to standard error."
    ),
]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", metavar="K=V", help="A parameter of the template. Repeatable.")
]
AlignerOption = Annotated[str | None, tool_option("aligner", "The tool that aligns reads.")]
CallerOption = Annotated[str | None, tool_option("caller", "The tool that calls variants.")]
AlignmentFormatOption = Annotated[
    AlignmentFormat | None,
    typer.Option(help="The format of the aligned reads. Default: AlignmentFormat of the stack."),
]
KindsOption = Annotated[
    str, typer.Option(metavar="KINDS", help=f"Some of {', '.join(download.KINDS)}, with `,` between them.")
]
MaxCostOption = Annotated[
    str | None,
    typer.Option(
        metavar="USD",
        callback=check_budget,
        help="Stop a run whose jobs have cost this much, and keep what is done. Default and upper limit: MaxRunCost of "
        "the stack.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", callback=check_value, help="Only runs since then: 2d, 3h, 30m ago, or a date (UTC)."),
]
FormOption = Annotated[
    Form | None,
    typer.Option(
        help="split: a job for each step; fused: one for all, for small runs; scattered: several call the variants, "
        "for large ones. Default: Form of the stack."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ExecutorOption = Annotated[
    Executor,
    typer.Option(help="How to run jobs: in Docker or as processes. auto: in Docker if it has all images."),
]


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        say(f"seqdrop {__version__}")
        raise typer.Exit


@app.callback()
def seqdrop(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """FASTQs in, variants out: run the pipeline on this machine, or with --stack NAME on AWS."""


@app.command("up")
def up_command(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
    inject: Annotated[
        Path | None, typer.Option(metavar="FAULTS.json", help="Faults to inject, see docs/fault-injection.md.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the embedded AWS and deploy the pipeline to it."""
    server = embedded.running()
    was_up = server is not None
    if server:
        embedded.check_same(server, executor, parameter or (), port, inject)
    else:
        options = ["--inject", str(inject.resolve())] if inject else ()
        server = embedded.start(port, executor, parameter or (), options)
        saved_references.restore(local(server))
    if as_json:
        say_json({**asdict(server), "stack": embedded.NAME})
        return
    how = "in Docker" if server.executor == "docker" else "as processes of this machine"
    say(f"The embedded AWS {'was already' if was_up else 'is'} up at {server.endpoint}; jobs run {how}.", style="green")
    embedded.show_addresses(server)
    if server.executor == "process" and (missing := preflight.missing_programs(local(server).default_tools)):
        warn(preflight.describe_missing(missing))


@app.command("down")
def down_command(
    everything: Annotated[bool, typer.Option("--all", help="Delete the references too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the embedded AWS and delete all runs; references are kept."""
    server = embedded.running()
    kept = [] if everything or not server else saved_references.save(local(server))
    if everything:
        saved_references.forget()
    if server:
        embedded.stop(server)
        but = f" but {', '.join(kept)}, which the next `seqdrop up` has" if kept else ""
        say(f"The embedded AWS is down. Everything in it was deleted{but}.")
    elif embedded.state_file().exists():
        embedded.clean_up()
        say("The embedded AWS had ended by itself: what it left is removed.")
    else:
        raise CliError("No embedded AWS is up: there is nothing to stop.")
    if as_json:
        say_json({"endpoint": server.endpoint if server else None, "kept": kept})


@app.command("reference")
def reference_command(
    fasta: Annotated[
        str | None,
        typer.Argument(metavar="GENOME.fa", help="The genome as FASTA, plain or gzipped; also s3://... or https://..."),
    ] = None,
    genes: Annotated[
        str | None, typer.Option(metavar="GENES", help="Its genes, for the annotation: GTF, GFF3 or GenBank.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(callback=check_value, help="Name of the reference in runs. Default: the file name of the genome."),
    ] = None,
    ploidy: Annotated[
        int, typer.Option(min=1, max=MAX_PLOIDY, help="Copies of each contig: 1 for viruses and bacteria.")
    ] = DIPLOID,
    ploidy_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Contigs or regions with another ploidy: CONTIG PLOIDY, or CONTIG START END PLOIDY."
        ),
    ] = None,
    panel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=BED", help="Targets for runs with `--panel NAME`, such as an exome. Repeatable."),
    ] = None,
    padding: Annotated[
        int, typer.Option(min=0, max=MAX_PADDING, help="Bases on each side of the targets that are called too.")
    ] = DEFAULT_PADDING,
    known: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VCF", help="Known variants (dbSNP, ClinVar) that annotate all runs. Repeatable."),
    ] = None,
    known_fields: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FIELDS", help="Fields to copy: `clinvar=ID,CLNSIG`. Default: ID and all of INFO."),
    ] = None,
    fetch: Annotated[
        str | None,
        typer.Option(
            metavar="PUBLIC",
            callback=check_value,
            help=f"Prepare a public genome: {', '.join(known_references.table())}.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fetch: show where its files are, and end.")
    ] = False,
    aligner: AlignerOption = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Prepare a genome: upload it, index it, build its gene database.

    Without a genome, add panels and known variants to the reference --name.
    """
    extra = reference_files.parse_extras(panel or (), padding, known or (), known_fields or ())
    if fetch:
        if fasta or genes:
            raise CliError("--fetch has its own genome and genes: leave yours out, or leave out --fetch.")
        public = known_references.find(fetch)
        known_references.show(public)
        if dry_run:
            if as_json:
                say_json(public.to_json())
            return
        source = Source.of(
            str(public.fasta),
            str(public.genes),
            name or public.name,
            max(1, min(ploidy, public.ploidy)),
            ploidy_file,
            extra,
        )
    elif fasta:
        source = Source.of(fasta, genes, name, ploidy, ploidy_file, extra)
    else:
        source = reference.only_extras(name, extra, others=bool(genes or ploidy_file))
    if dry_run:
        raise CliError("--dry-run is for --fetch.")
    opened = open_stack(stack, region)
    tools = Choices(aligner=aligner or "").tools(opened.default_tools)
    preflight.check_tools(opened, tools)
    summary = reference.prepare(opened, source, tools["aligner"])
    reference.show(source.name, summary)
    if as_json:
        say_json({"name": source.name, **summary})


@app.command("references")
def references_command(as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """List the prepared references: size, indexes, genes, panels."""
    opened = open_stack(stack, region)
    references = reference_list.read_all(opened)
    say_json(references) if as_json else reference_list.show(references, opened.option)


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
    with _open_or_start(stack, region, executor, parameter, needs_reference=source is None) as opened:
        preflight.check_tools(opened, request.choices.tools(opened.default_tools))
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


@app.command("submit")
def submit_command(
    sheet: Annotated[
        Path, typer.Argument(metavar="SHEET.csv", help="A samplesheet in the columns of nf-core/sarek, or of Illumina.")
    ],
    prefix: Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the bucket to upload to.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the sheet, show its samples, and end.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Start one run for each sample of a samplesheet.

    The sheet is checked first, then its local FASTQs are uploaded. Exit code 65: it has problems, nothing was started.
    """
    rows = submit.submit(open_stack(stack, region), sheet, prefix, dry_run=dry_run, yes=yes)
    if as_json:
        say_json(rows)


@app.command("joint")
def joint_command(
    samples: Annotated[
        list[str],
        typer.Argument(metavar="SAMPLE|RUN", help="Samples (their newest runs with results), or ids of runs."),
    ],
    name: Annotated[
        str | None,
        typer.Option(callback=check_value, help="Name of the joint run. Default: the samples, with `-` between them."),
    ] = None,
    genome: Annotated[
        str | None,
        typer.Option(
            "--reference", metavar="REF", callback=check_value, help="Refuse runs with another reference than this."
        ),
    ] = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Results go to DIR/NAME/RUN.")] = Path("results"),
    priority: Annotated[Priority, typer.Option(help="Job queue of the run.")] = Priority.normal,
    max_cost: MaxCostOption = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Join the variants of several samples into one VCF.

    The VCF has each site at which one of them has a call, with the genotypes of all. docs/samples.md has its limits.
    """
    choices = Choices(genome or "", priority=priority.value, max_cost=max_cost or "")
    row = joint.run_joint(open_stack(stack, region), samples, name or "", choices, results)
    if as_json:
        say_json(row)


@app.command("fetch")
def fetch_command(
    what: Annotated[
        str | None, typer.Argument(metavar="RUN|SAMPLE", help="A run id, the beginning of one, 'latest', or a sample.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs with results.")] = False,
    only: KindsOption = "",
    with_crate: Annotated[
        bool, typer.Option("--crate", help="Describe inputs, jobs and results as an RO-Crate in the folder.")
    ] = False,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Files go to DIR/SAMPLE/RUN.")] = Path("results"),
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Download the results of runs."""
    kinds = download.parse_kinds(only)
    opened = open_stack(stack, region)
    files = fetch.fetch(opened, fetch.select(opened, what, every=every), results, kinds, with_crate=with_crate)
    if as_json:
        say_json(list(map(str, files)))


@app.command("verify")
def verify_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|RUN", help="A folder of downloaded results (needs no network), a run id, or a sample."
        ),
    ],
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read every byte of the results in S3, instead of comparing the checksums of S3."),
    ] = False,
    only: KindsOption = "",
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Check that the results of a run exist and are unchanged.

    Exit code 1: an output is missing or was changed.
    """
    kinds, folder = download.parse_kinds(only), Path(what)
    if folder.is_dir():
        result = verify.verify_folder(folder, kinds)
    else:
        opened = open_stack(stack, region)
        result = verify.verify_run(opened, run_table.find(opened, what), kinds, deep=deep)
    if as_json:
        say_json(result.to_json())
    verify.show(result)


@app.command("status")
def status_command(
    run_name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|SAMPLE",
            help="A run id, the beginning of one, or 'latest': shows it. A sample: lists its runs. Default: all runs.",
        ),
    ] = None,
    since: Since = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that lack results.")] = False,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """List the runs, the newest first, or show one."""
    opened = open_stack(stack, region)
    selected = run_table.select(opened, run_name or "", since or "", failed=failed)
    if isinstance(selected, dict):
        say_json(selected) if as_json else status.show_run(selected)
    else:
        say_json([*selected]) if as_json else status.show_list(selected)


@app.command("why")
def why_command(run_name: RunName, as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """Explain why a run failed, and what to do."""
    opened = open_stack(stack, region)
    row = run_table.find(opened, run_name)
    say_json(why.to_json(opened, row)) if as_json else why.explain(opened, row)


@app.command("stop")
def stop_command(run_name: RunName, as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """Stop a run and its jobs."""
    opened = open_stack(stack, region)
    stopped = stop.stop(opened, run_table.find(opened, run_name))
    if as_json:
        say_json(stopped)


@app.command("resume")
def resume_command(
    run_name: RunName,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the run.")] = False,
    max_cost: MaxCostOption = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Results go to DIR/SAMPLE/RUN.")] = Path("results"),
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Resume a run that failed or was stopped.

    Steps that are done are not repeated. The results are downloaded.
    """
    opened = open_stack(stack, region)
    found = run_table.find(opened, run_name)
    row = resume.resume(opened, found, detach=detach, results=results, max_cost=max_cost or "")
    if as_json:
        say_json(row)


@app.command("redrive")
def redrive_command(as_json: AsJson = False, stack: StackName = None, region: Region = None) -> None:
    """Send events in the dead letter queue to their functions again."""
    sent = redrive.redrive(open_stack(stack, region))
    if as_json:
        say_json(sent)


@app.command("logs")
def logs_command(
    run_name: RunName,
    step: Annotated[
        str | None,
        typer.Argument(
            metavar="STEP",
            autocompletion=steps.every_name,
            help=f"One of {', '.join(steps.every_name())}. Default: all steps.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Print the lines as they come, with the progress, until the run ends."),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--json", callback=move_messages, help="Print the JSON lines of the jobs unchanged.")
    ] = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Print the logs of a run's jobs."""
    opened = open_stack(stack, region)
    show = logs.follow_logs if follow else logs.show_logs
    show(opened, run_table.find(opened, run_name), step, raw=raw)


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
    with _open_or_start(stack, region, executor, parameter, needs_reference=False) as opened:
        choices = Choices(aligner=aligner or "", caller=caller or "", alignment_format=alignment_format or "")
        preflight.check_tools(opened, choices.tools(opened.default_tools))
        figures = demo.run_demo(opened, keep, seed, choices)
    if as_json:
        say_json(figures)


@app.command("check")
def check_command(
    submit: Annotated[
        bool, typer.Option("--submit", help="Submit a job that prints its help and ends: about a cent on AWS.")
    ] = False,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Check that a stack can run the pipeline; say what is missing.

    Quotas, images, default reference, buckets, subscriptions, job queues. Only --submit starts anything.
    """
    check.check(open_stack(stack, region), submit=submit, as_json=as_json)


@app.command("api")
def api_command(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET or POST. Default: show the address.")] = "",
    path: Annotated[str, typer.Argument(metavar="PATH", help="Such as /runs or /ga4gh/wes/v1/runs.")] = "/",
    body: Annotated[str, typer.Option(metavar="JSON", help="The body of a POST.")] = "",
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Show the address of the HTTP API, or send it a request.

    Requests are signed with your credentials. Exit code 1: the API refused the request.
    """
    opened = open_stack(stack, region)
    if not method:
        address = {"endpoint": api.endpoint(opened), "page": api.link(opened)}
        say_json(address) if as_json else say(f"{address['endpoint']}\nIts page, for 15 minutes: {address['page']}")
        return
    status, text = api.call(opened, method, path, body)
    say_json(api.parse(text))
    if status >= 400:
        raise CliError(f"The API refused the request: {status}.")


@app.command("report")
def report_command(
    samples: Annotated[list[str] | None, typer.Argument(metavar="SAMPLE", help="Sample ids.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs.")] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="The runs since: 2d, 3h (ago), 2026-03-31.")] = "",
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the page.")] = Path("seqdrop-report"),
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Build one MultiQC page for many runs, with a table of them."""
    opened = open_stack(stack, region)
    chosen = many_report.select(run_table.rows(opened), samples or (), since, every=every)
    page = many_report.build(opened, chosen, output)
    say(f"{page} has {len(chosen):,} run{'' if len(chosen) == 1 else 's'}.", style="green")
    if as_json:
        say_json({"page": str(page), "runs": [row["run"] for row in chosen]})


@app.command("cost")
def cost_command(
    run_name: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Show the attempts of this run. Default: list the runs."),
    ] = None,
    since: Since = None,
    by: Annotated[CostGroup | None, typer.Option(help="Add up the prices.")] = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Show what runs cost: every attempt of every job."""
    opened = open_stack(stack, region)
    runs = costs.select(opened, run_name or "", since or "")
    sums = costs.show(runs, costs.read(opened, runs), by.value if by else "")
    if as_json:
        say_json(sums)


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
    opened = open_stack(stack, region)
    if history:
        found = estimate.show_history(opened)
    else:
        tools = Choices(aligner=aligner or "", caller=caller or "").tools(opened.default_tools)
        kind = {"alignment_format": alignment_format or "", "form": form or ""}
        chosen = {"reference": name or opened["DefaultReference"], **tools, **kind}
        found = estimate.show(opened, estimate.samples_of(opened, files or (), chosen))
    if as_json:
        say_json(found)


@app.command("suggest")
def suggest_command(
    since: Since = None, as_json: AsJson = False, stack: StackName = None, region: Region = None
) -> None:
    """Suggest sizes of jobs, by what they have used."""
    opened = open_stack(stack, region)
    found = costs.suggest(opened, costs.read(opened, costs.select(opened, "", since or "")))
    if as_json:
        say_json(found)


@policies.command("check")
def qc_check_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A QC policy in YAML: limits for the figures of a run.")],
    upload_to: Annotated[
        str | None,
        typer.Option("--reference", callback=check_value, help="Upload it beside this reference, for all its runs."),
    ] = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Check a QC policy; with --reference, upload it there: runs that fail it end as QC_FAILED."""
    rules = qc.check(file)
    if upload_to:
        qc.upload(open_stack(stack, region), file, upload_to)
    if as_json:
        say_json(rules)


@contextmanager
def _open_or_start(
    name: str | None, region: str | None, executor: Executor, parameters: list[str] | None, *, needs_reference: bool
) -> Iterator[Stack]:
    """Open a stack; with no stack and no embedded AWS up, start an embedded AWS for this command."""
    if name and (parameters or executor != Executor.auto):
        raise CliError("--parameter and --executor are for the embedded AWS: `sam deploy` changes a deployed stack.")
    server = embedded.running()
    if server and not name:
        embedded.check_same(server, executor, parameters or ())
    if name or server:
        yield open_stack(name, region)
        return
    if needs_reference:
        raise CliError(
            "No embedded AWS is up, and a new one has no reference: give --reference GENOME.fa [--genes GENES.gtf], "
            "or run `seqdrop up` and `seqdrop reference` first."
        )
    with embedded.temporary(parameters or (), executor) as started:
        yield local(started, is_temporary=True)


def main() -> None:
    """Run the command that was typed."""
    logger.setLevel("ERROR")  # a repeated transfer is logged for jobs, not for users
    interrupt_on_termination()
    app(prog_name="seqdrop")
