"""The commands of `seqdrop`: what each takes, and whom it asks to do it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seqdrop_cli import drop, embedded, joblogs, preflight, redrive, reference, resume, runs
from seqdrop_cli.demo import story
from seqdrop_cli.drop import Order
from seqdrop_cli.problem import Problem, Sentences, hear_termination, warn
from seqdrop_cli.reference import Source
from seqdrop_cli.screen import say, say_json
from seqdrop_cli.stack import Stack, local, open_stack
from seqdrop_cli.upload import Drop

app = typer.Typer(
    cls=Sentences,
    help="FASTQs in, variants out: the pipeline on this machine, or with --stack NAME on AWS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Priority(StrEnum):
    normal = "normal"
    high = "high"


class Executor(StrEnum):
    auto = "auto"
    docker = "docker"
    process = "process"


StackName = Annotated[str | None, typer.Option("--stack", help="A deployed stack; without it the embedded AWS.")]
Region = Annotated[str | None, typer.Option(help="The deployed stack's region, where AWS_REGION does not say it.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a beginning of it, or 'latest'.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one JSON document on standard output.")]
Parameters = Annotated[list[str] | None, typer.Option("--parameter", help="K=V of the template; may be repeated.")]
ExecutorOption = Annotated[Executor, typer.Option(help="Jobs in Docker, or as processes of this machine.")]


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
    inject: Annotated[
        Path | None, typer.Option(metavar="FAULTS.json", help="Faults that are to strike: embedded-aws/README.md.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the embedded AWS with the whole pipeline in it."""
    found = embedded.start(port, executor, parameter or (), ["--inject", str(inject.resolve())] if inject else ())
    if as_json:
        say_json({**asdict(found), "stack": embedded.NAME})
        return
    how = "in Docker" if found.executor == "docker" else "as processes of this machine"
    say(f"Up at {found.endpoint}; jobs run {how}.", style="green")
    for name, value in found.outputs.items():
        say(f"  {name:<30} {value}")
    say("Prepare a genome with `seqdrop reference`, then drop FASTQs with `seqdrop run` or any S3 client:")
    say(f"  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION={found.region}")
    for mate in (1, 2):
        target = f"s3://{found.outputs.get('FastqBucket')}/"
        say(f"  aws --endpoint-url {found.endpoint} s3 cp NA12878_R{mate}.fastq.gz {target}")
    if found.executor == "process" and (missing := preflight.missing_tools(found.outputs)):
        warn(preflight.sentence(missing))


@app.command()
def down() -> None:
    """Stop the embedded AWS, its jobs with it."""
    found = embedded.running()
    if found is None:
        raise Problem("Nothing is up here.")
    embedded.stop(found)
    say("Down.")


@app.command("reference")
def prepare_reference(
    fasta: Annotated[Path, typer.Argument(metavar="GENOME.fa")],
    genes: Annotated[Path | None, typer.Option(help="Its genes for the annotation: GTF, GFF3 or GenBank.")] = None,
    name: Annotated[str | None, typer.Option(help="What runs call it; the file's name if not given.")] = None,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Prepare a genome: upload it, index it, build its gene database."""
    source = Source.of(fasta, genes, name)
    opened = open_stack(stack, region)
    _check_tools(opened)
    reference.show(source.name, reference.prepare(opened, source))


@app.command("run")
def run_fastqs(
    fastqs: Annotated[
        list[Path],
        typer.Argument(metavar="R1 R2", help="Mates; a sample's other lanes follow, pair by pair."),
    ],
    sample: Annotated[str | None, typer.Option(help="The sample's id, where the files' names do not say it.")] = None,
    genome: Annotated[
        str | None, typer.Option("--reference", help="A prepared reference's name, or a GENOME.fa to prepare first.")
    ] = None,
    genes: Annotated[Path | None, typer.Option(help="The genes of a GENOME.fa.")] = None,
    intervals: Annotated[str, typer.Option(help="A BED beside the reference: call only there.")] = "",
    priority: Annotated[Priority, typer.Option(help="Which queue the jobs wait in.")] = Priority.normal,
    args: Annotated[list[str] | None, typer.Option(help="STEP=WORDS for that step's tool; may be repeated.")] = None,
    prefix: Annotated[str, typer.Option(help="A folder of the bucket to upload into.")] = "",
    results: Annotated[Path | None, typer.Option(help="Where results go; default results/SAMPLE/RUN.")] = None,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Drop FASTQs, follow the run, fetch its results."""
    source = Source.of(Path(genome), genes, None) if genome and Path(genome).is_file() else None
    if genes and source is None:
        raise Problem("--genes belongs to a GENOME.fa given as --reference.")
    name = None if source else genome
    words = drop.step_words(args or ())
    order = Order(Drop.of(fastqs, sample), name, source, intervals, words, prefix, results, priority.value)
    with _some_stack(stack, region, executor, parameter, needs_reference=source is None) as opened:
        _check_tools(opened)
        drop.run(opened, order)


@app.command()
def status(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; all of them if not given.")] = None,
    as_json: AsJson = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """List the runs, or show one."""
    opened = open_stack(stack, region)
    if run is None:
        found = runs.rows(opened)
        say_json([*found]) if as_json else runs.show_list(found)
        return
    row = runs.find(opened, run)
    say_json(row) if as_json else runs.show_one(row)


@app.command()
def why(run: RunName, stack: StackName = None, region: Region = None) -> None:
    """Say why a run failed and what helps."""
    opened = open_stack(stack, region)
    runs.explain(opened, runs.find(opened, run))


@app.command()
def stop(run: RunName, stack: StackName = None, region: Region = None) -> None:
    """Stop a run and its jobs."""
    opened = open_stack(stack, region)
    runs.stop(opened, runs.find(opened, run))


@app.command("resume")
def resume_run(
    run: RunName,
    detach: Annotated[bool, typer.Option(help="Do not follow it.")] = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Let a run that failed or was stopped go on where it ended."""
    opened = open_stack(stack, region)
    resume.resume(opened, runs.find(opened, run), detach=detach)


@app.command("redrive")
def redrive_events(stack: StackName = None, region: Region = None) -> None:
    """Send again what waits in the dead letter queue."""
    redrive.redrive(open_stack(stack, region))


@app.command()
def logs(
    run: RunName,
    step: Annotated[
        str | None, typer.Argument(metavar="[STEP]", help="align, call, annotate, collect, compose.")
    ] = None,
    raw: Annotated[bool, typer.Option("--json", help="The JSON lines as they are.")] = False,
    stack: StackName = None,
    region: Region = None,
) -> None:
    """Print what a run's jobs wrote."""
    opened = open_stack(stack, region)
    joblogs.show_logs(opened, runs.find(opened, run), step, raw=raw)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Keep the genome, the truth and the reads in this folder.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another genome, sample and sequencing.")] = story.SEED,
    executor: ExecutorOption = Executor.auto,
    parameter: Parameters = None,
) -> None:
    """Make a sample of known variants, run everything, count."""
    with _some_stack(None, None, executor, parameter, needs_reference=False) as opened:
        _check_tools(opened)
        story.tell(opened, keep, seed)


@contextmanager
def _some_stack(
    name: str | None, region: str | None, executor: Executor, parameters: list[str] | None, *, needs_reference: bool
) -> Iterator[Stack]:
    """The stack that is there; with nothing up, an embedded AWS for this command only."""
    if name or embedded.running():
        yield open_stack(name, region)
        return
    if needs_reference:
        raise Problem(
            "Nothing is up, and a fresh embedded AWS has no reference: give --reference GENOME.fa [--genes GENES.gtf], "
            "or `seqdrop up` and `seqdrop reference` first."
        )
    with embedded.for_this_command(parameters or (), executor) as found:
        yield local(found, ends_with_us=True)


def _check_tools(stack: Stack) -> None:
    if stack.is_embedded and (found := embedded.running()):
        preflight.check_tools(found)


def main() -> None:
    hear_termination()
    app(prog_name="seqdrop")
