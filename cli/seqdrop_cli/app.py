"""Define the commands of `seqdrop` and their options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from seqdrop.log import logger
from seqdrop.plan import options, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.names import DIPLOID, MAX_PLOIDY

from seqdrop_cli import (
    download,
    embedded,
    fetch,
    folders,
    logs,
    many,
    planned,
    preflight,
    redrive,
    reference,
    resume,
    run,
    run_table,
    status,
    stop,
    submit,
    why,
)
from seqdrop_cli.check import command as check
from seqdrop_cli.demo import command as demo
from seqdrop_cli.demo.files import SEED
from seqdrop_cli.errors import CliError, CommandGroup, interrupt_on_termination, warn
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.reference import Source
from seqdrop_cli.run import RunRequest
from seqdrop_cli.screen import say, say_json
from seqdrop_cli.stack import Stack, local, open_stack

app = typer.Typer(
    cls=CommandGroup,
    help="FASTQs in, variants out: run the pipeline on this machine, or with --stack NAME on AWS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Priority(StrEnum):
    """The job queue of a run."""

    normal = "normal"
    high = "high"


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


StackName = Annotated[
    str | None,
    typer.Option("--stack", callback=check_value, help="A deployed stack. Default: the embedded AWS."),
]
Region = Annotated[
    str | None, typer.Option(callback=check_value, help="Region of the deployed stack. Default: AWS_REGION.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run id, the beginning of one, or 'latest'.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", metavar="K=V", help="A parameter of the template. Repeatable.")
]
AlignerOption = Annotated[str | None, tool_option("aligner", "The tool that aligns reads.")]
CallerOption = Annotated[str | None, tool_option("caller", "The tool that calls variants.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ExecutorOption = Annotated[
    Executor,
    typer.Option(help="How to run jobs: in Docker or as processes. auto: in Docker if it has all images."),
]


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
    if as_json:
        say_json({**asdict(server), "stack": embedded.NAME})
        return
    how = "in Docker" if server.executor == "docker" else "as processes of this machine"
    say(f"The embedded AWS {'was already' if was_up else 'is'} up at {server.endpoint}; jobs run {how}.", style="green")
    fastqs, results = (f"s3://{server.outputs.get(name)}/" for name in ("FastqBucket", "ResultsBucket"))
    say(f"  FASTQs   {fastqs}")
    say(f"  results  {results}")
    say("Prepare a genome with `seqdrop reference`, then upload FASTQs with `seqdrop run` or any S3 client:")
    say(f"  export AWS_ENDPOINT_URL={server.endpoint} AWS_DEFAULT_REGION={server.region}")
    say(f"  export AWS_ACCESS_KEY_ID={server.access_key_id} AWS_SECRET_ACCESS_KEY={server.secret_access_key}")
    for mate in (1, 2):
        say(f"  aws s3 cp NA12878_R{mate}.fastq.gz {fastqs}")
    if server.executor == "process" and (missing := preflight.missing_programs(local(server).default_tools)):
        warn(preflight.describe_missing(missing))


@app.command("down")
def down_command() -> None:
    """Stop the embedded AWS; deletes everything, references too."""
    server = embedded.running()
    if server is None:
        raise CliError("No embedded AWS is up: there is nothing to stop.")
    embedded.stop(server)
    say("The embedded AWS is down. Everything in it was deleted.")


@app.command("reference")
def reference_command(
    fasta: Annotated[Path, typer.Argument(metavar="GENOME.fa", help="The genome as FASTA, plain or gzipped.")],
    genes: Annotated[
        Path | None, typer.Option(metavar="GENES", help="Its genes, for the annotation: GTF, GFF3 or GenBank.")
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
    aligner: AlignerOption = None,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Prepare a genome: upload it, index it, build its gene database."""
    source = Source.of(fasta, genes, name, ploidy, ploidy_file)
    opened = open_stack(stack, region)
    tools = Choices(aligner=aligner or "").tools(opened.default_tools)
    preflight.check_tools(opened, tools)
    reference.show(source.name, reference.prepare(opened, source, tools["aligner"]))


@app.command("run")
def run_command(
    fastqs: Annotated[
        list[Path],
        typer.Argument(
            metavar="FASTQ|FOLDER", help="FASTQs in any order, or folders of them: they are paired by name."
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
    aligner: AlignerOption = None,
    caller: CallerOption = None,
    priority: Annotated[Priority, typer.Option(help="Job queue of the run.")] = Priority.normal,
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
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Upload FASTQs, follow their runs, download the results.

    Several samples are shown as a table first, with price and time as earlier runs suggest.
    """
    source = Source.of(Path(genome), genes, None) if genome and Path(genome).is_file() else None
    if genes and source is None:
        raise CliError("--genes needs --reference GENOME.fa, the genome of these genes.")
    name = None if source else genome
    samples = folders.group(fastqs) if sample is None else [Fastqs.of(fastqs, sample)]
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
    )
    with _open_or_start(stack, region, executor, parameter, needs_reference=source is None) as opened:
        preflight.check_tools(opened, request.choices.tools(opened.default_tools))
        if dry_run or len(samples) > 1:
            many.show_plan(opened, request, samples)
        if dry_run:
            return
        if len(samples) == 1:
            run.run_pipeline(opened, request)
            return
        planned.confirm(yes=yes)
        many.run_all(opened, request, samples)


@app.command("submit")
def submit_command(
    sheet: Annotated[
        Path, typer.Argument(metavar="SHEET.csv", help="A samplesheet in the columns of nf-core/sarek, or of Illumina.")
    ],
    prefix: Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the bucket to upload to.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the sheet, show its samples, and end.")] = False,
    yes: Yes = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Start one run for each sample of a samplesheet.

    The sheet is checked first, then its local FASTQs are uploaded. Exit code 65: it has problems, nothing was started.
    """
    submit.submit(open_stack(stack, region), sheet, prefix, dry_run=dry_run, yes=yes)


@app.command("fetch")
def fetch_command(
    what: Annotated[
        str | None, typer.Argument(metavar="RUN|SAMPLE", help="A run id, the beginning of one, 'latest', or a sample.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs with results.")] = False,
    only: Annotated[
        str, typer.Option(metavar="KINDS", help=f"Some of {', '.join(download.KINDS)}, with `,` between them.")
    ] = "",
    results: Annotated[Path, typer.Option(metavar="DIR", help="Files go to DIR/SAMPLE/RUN.")] = Path("results"),
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Download the results of runs."""
    kinds = download.parse_kinds(only)
    opened = open_stack(stack, region)
    fetch.fetch(opened, fetch.select(opened, what, every=every), results, kinds)


@app.command("status")
def status_command(
    run_name: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run id, the beginning of one, or 'latest'. Default: all runs."),
    ] = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """List all runs, or show one."""
    opened = open_stack(stack, region)
    if run_name is None:
        rows = run_table.rows(opened)
        say_json([*rows]) if as_json else status.show_list(rows)
        return
    row = run_table.find(opened, run_name)
    say_json(row) if as_json else status.show_run(row)


@app.command("why")
def why_command(run_name: RunName, stack: StackName = None, region: Region = None) -> None:
    """Explain why a run failed, and what to do."""
    opened = open_stack(stack, region)
    why.explain(opened, run_table.find(opened, run_name))


@app.command("stop")
def stop_command(run_name: RunName, stack: StackName = None, region: Region = None) -> None:
    """Stop a run and its jobs."""
    opened = open_stack(stack, region)
    stop.stop(opened, run_table.find(opened, run_name))


@app.command("resume")
def resume_command(
    run_name: RunName,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the run.")] = False,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Results go to DIR/SAMPLE/RUN.")] = Path("results"),
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Resume a run that failed or was stopped.

    Steps that are done are not repeated. The results are downloaded.
    """
    opened = open_stack(stack, region)
    resume.resume(opened, run_table.find(opened, run_name), detach=detach, results=results)


@app.command("redrive")
def redrive_command(stack: StackName = None, region: Region = None) -> None:
    """Send events in the dead letter queue to their functions again."""
    redrive.redrive(open_stack(stack, region))


@app.command("logs")
def logs_command(
    run_name: RunName,
    step: Annotated[
        str | None,
        typer.Argument(metavar="STEP", help=f"One of {', '.join(steps.names())}. Default: all steps."),
    ] = None,
    raw: Annotated[bool, typer.Option("--json", help="Print the JSON lines unchanged.")] = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Print the logs of a run's jobs."""
    opened = open_stack(stack, region)
    logs.show_logs(opened, run_table.find(opened, run_name), step, raw=raw)


@app.command("demo")
def demo_command(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the simulated files and the results in this folder.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives another genome, sample and reads.")] = SEED,
    aligner: AlignerOption = None,
    caller: CallerOption = None,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Simulate known variants, run the pipeline, count what it finds.

    With --stack, this is the acceptance test of a deployment.
    """
    with _open_or_start(stack, region, executor, parameter, needs_reference=False) as opened:
        choices = Choices(aligner=aligner or "", caller=caller or "")
        preflight.check_tools(opened, choices.tools(opened.default_tools))
        demo.run_demo(opened, keep, seed, choices)


@app.command("check")
def check_command(
    submit: Annotated[
        bool, typer.Option("--submit", help="Submit a job that prints its help and ends: about a cent on AWS.")
    ] = False,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Check that a stack can run the pipeline, and say what is missing.

    Quotas, images, default reference, buckets, subscriptions, job queues. Only --submit starts anything.
    """
    check.check(open_stack(stack, region), submit=submit, as_json=as_json)


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
