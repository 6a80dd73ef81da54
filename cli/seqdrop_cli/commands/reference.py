"""Define `seqdrop reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from seqdrop.plan.choices import Choices
from seqdrop.plan.extras import DEFAULT_PADDING, MAX_PADDING
from seqdrop.plan.names import DIPLOID, MAX_PLOIDY

from seqdrop_cli import known_references, preflight, reference, reference_files
from seqdrop_cli import stack as stacks
from seqdrop_cli.commands.parameters import AlignerOption, AsJson, Region, StackName, check_value
from seqdrop_cli.errors import CliError
from seqdrop_cli.reference import Source
from seqdrop_cli.screen import say_json

app = typer.Typer()


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
    opened = stacks.open_stack(stack, region)
    tools = Choices(aligner=aligner or "").tools(opened.default_tools)
    preflight.check_tools(opened, tools)
    summary = reference.prepare(opened, source, tools["aligner"])
    reference.show(source.name, summary)
    if as_json:
        say_json({"name": source.name, **summary})
