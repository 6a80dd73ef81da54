"""Prepare a reference: check a FASTA and its genes, build the indexes that the tools need, write reference.json."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import JobError, UsageError
from seqdrop.jobs import arguments, bwa_mem3, csq, snpeff
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.plan import ploidy
from seqdrop.plan.bed import BedError
from seqdrop.plan.names import DIPLOID, GENOME, REFERENCE_JSON
from seqdrop.storage.uri import S3Uri
from seqdrop.storage.web_address import WebAddress

from containers.reference import (
    bwa_mem3_index,
    extra_files,
    fasta,
    genbank,
    gene_check,
    genes,
    genetic_code,
    haplotype_genes,
    identity,
    source_files,
)
from containers.reference.fasta import Genome, refused
from containers.reference.genes import Annotation
from containers.reference.genetic_code import GeneticCode

BWA = (".amb", ".ann", ".bwt", ".pac", ".sa")
INDEXES = {"bwa": BWA, "bwa_mem3": bwa_mem3.INDEX, "isaac": ()}  # Isaac reads the FASTA itself
GENE_INDEXES = {"snpeff": snpeff.DATABASE, "csq": csq.GENES}
FASTA_SOURCE, GENES_SOURCE = "fasta_source", "genes_source"
# Suffix -> option of snpEff, name of the file in its database, reader of the genes.
GENES = {
    ".gtf": ("-gtf22", "genes.gtf", genes.read_gtf),
    ".gff": ("-gff3", "genes.gff", genes.read_gff3),
    ".gff3": ("-gff3", "genes.gff", genes.read_gff3),
    ".gb": ("-genbank", "genes.gbk", genbank.read_genbank),
    ".gbk": ("-genbank", "genes.gbk", genbank.read_genbank),
}
STACK_LINE = re.compile(r"\s*(at |\.\.\. \d+ more)")  # of Java


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare a reference for one aligner."""
    args = arguments.parse(argv, __doc__, "fasta", "genes", "sources", "aligner", "reference")
    with step("prepare", args) as work:
        work.provable = True  # jobs share the files of a reference on the disk of their host
        options = arguments.parse_options(args.args, "reference")
        if args.aligner not in INDEXES:
            raise UsageError(f"aligner must be one of {', '.join(INDEXES)}")
        if args.fasta is None:
            publish_summary(work, extra_files.add(work))
            return
        sources: dict[str, Any] = {}
        source = fetch_genes(work, args.genes, sources) if args.genes else None
        genome = read_genome(work, args.fasta, sources)
        ploidies = check_ploidy(options, genome)
        summary = {
            "name": args.reference.parent.name,
            "contigs": genome.contigs,
            **ploidies,
            "fingerprint": identity.fingerprint(genome.contigs, source, **ploidies),
            "indexes": [args.aligner],
            "genetic_codes": {},
            "sources": sources,
        }
        existing = identity.existing_indexes(args.reference, summary)
        checked = check_genes(work, genome, args.genes, source) if source else None
        companions = [".fai", *build_indexes(work, work / GENOME, args.aligner)]
        if checked:
            companions.append(build_database(work, work / GENOME, args.genes, checked))
            companions += write_haplotype_genes(work, checked)
            summary["indexes"] += [index for index, suffix in GENE_INDEXES.items() if suffix in companions]
            summary["genetic_codes"] = {contig: code.name for contig, code in checked.codes.items()}
        extra = extra_files.prepare(work, contig_lengths(genome))
        work.run("samtools", "dict", work / GENOME, "-o", work / "genome.fa.dict")
        work.counts["contigs"] = len(genome.contigs)
        summary |= {"indexes": sorted({*existing, *summary["indexes"]}), "tools": work.tools, "warnings": work.warnings}
        work.publish(work / GENOME, "reference", ".dict", *companions)
        extra_files.publish(work, extra)
        publish_summary(work, {**summary, **extra_files.merge(extra_files.read_prepared(work) or {}, extra)})


def publish_summary(work: Workspace, summary: Mapping[str, Any]) -> None:
    """Write reference.json: runs can use the reference, or what was added to it."""
    (work / "genome.fa.json").write_text(json.dumps(summary, indent=2) + "\n")
    work.publish_to(work / "genome.fa.json", work.args.reference.parent / REFERENCE_JSON)


def read_genome(work: Workspace, uri: S3Uri | WebAddress, sources: dict[str, Any]) -> Genome:
    """Download a FASTA, check it and write it as the genome; warn of ambiguity codes. Raise BadInputError."""
    source_files.decompress(source_files.fetch(work, "fasta", uri, sources), work / FASTA_SOURCE)
    genome = fasta.write_genome(work / FASTA_SOURCE, work / GENOME)
    (work / FASTA_SOURCE).unlink()
    if genome.ambiguous:
        counts = gene_check.named(f"{count:,} in {name}" for name, count in genome.ambiguous.items())
        work.warn(
            "AMBIGUITY_CODES",
            f"ambiguity codes of the FASTA were written as N, {sum(genome.ambiguous.values()):,} in all: {counts}; "
            "no variants are called at these positions",
        )
    return genome


def check_ploidy(options: argparse.Namespace, genome: Genome) -> dict[str, Any]:
    """Return the ploidy of a genome and of its regions for reference.json; raise BadInputError."""
    try:
        regions = ploidy.check(options.ploidy_regions or [], contig_lengths(genome))
    except BedError as error:
        raise refused(str(error)) from None
    return ploidy.of_reference(options.ploidy or DIPLOID, regions)


def contig_lengths(genome: Genome) -> dict[str, int]:
    """Return the length of every contig."""
    return {contig["name"]: contig["length"] for contig in genome.contigs}


def fetch_genes(work: Workspace, uri: S3Uri | WebAddress, sources: dict[str, Any]) -> Path:
    """Download the genes and decompress them; raise BadInputError for an unknown format."""
    if genes_suffix(uri) not in GENES:
        raise refused(f"genes must be one of {', '.join(GENES)}, not {uri.name}")
    source_files.decompress(source_files.fetch(work, "genes", uri, sources), work / GENES_SOURCE)
    return work / GENES_SOURCE


def genes_suffix(uri: S3Uri | WebAddress) -> str:
    """Return the suffix that tells the format of the genes."""
    return Path(uri.name.lower().removesuffix(".gz")).suffix


@dataclass(frozen=True, slots=True)
class CheckedGenes:
    """Genes that fit the genome."""

    path: Path  # those on contigs of the genome
    annotation: Annotation
    codes: Mapping[str, GeneticCode]  # of contigs with another genetic code than the standard one


def check_genes(work: Workspace, genome: Genome, uri: S3Uri | WebAddress, source: Path) -> CheckedGenes:
    """Compare the genes with the genome; return those on its contigs. Raise BadInputError."""
    *_, read = GENES[genes_suffix(uri)]
    lengths = contig_lengths(genome)
    checked = work / "genes"
    annotation = read(source, checked, lengths)
    gene_check.check_contigs(work, annotation, lengths)
    return CheckedGenes(checked, annotation, gene_check.check_coding(work, annotation, work / GENOME))


def build_indexes(work: Workspace, genome: Path, aligner: str) -> tuple[str, ...]:
    """Build the indexes for an aligner; return their suffixes."""
    work.version("samtools")
    work.run("samtools", "faidx", genome)
    if aligner == "bwa":
        work.run("bwa", "index", genome)
    elif aligner == "bwa_mem3":
        work.run(
            "bwa", "fa2pac", "-f", genome
        )  # .pac, .ann and .amb as `bwa index` writes them; -f: forward strand only
        bwa_mem3_index.build_index(genome)
    return INDEXES[aligner]


def build_database(work: Workspace, genome: Path, uri: S3Uri | WebAddress, checked: CheckedGenes) -> str:
    """Build the snpEff database from checked genes; return its suffix. Raise BadInputError if snpEff refuses them."""
    genes_format, name, _ = GENES[genes_suffix(uri)]
    folder = work / snpeff.DATA / snpeff.NAME
    folder.mkdir(parents=True)
    shutil.copy(genome, folder / "sequences.fa")
    checked.path.rename(folder / name)
    config = [f"{snpeff.NAME}.genome : {snpeff.NAME}", *genetic_code.config(snpeff.NAME, checked.codes)]
    (work / snpeff.CONFIG).write_text("\n".join(config) + "\n")
    work.version("snpEff", "java", "-jar", snpeff.JAR, "-version")
    # No check against lists of CDS and proteins: most genomes come without these.
    snpeff_build = snpeff.command("build", work.memory, work.directory)
    try:
        work.run(*snpeff_build, genes_format, "-noCheckCds", "-noCheckProtein", snpeff.NAME)
    except ToolError as error:
        raise without_stack(error) from None
    (folder / "sequences.fa").unlink()
    work.run("tar", "-C", work.directory, "-cf", f"{genome}{snpeff.DATABASE}", snpeff.CONFIG, snpeff.DATA)
    return snpeff.DATABASE


def write_haplotype_genes(work: Workspace, checked: CheckedGenes) -> list[str]:
    """Write the coding sequences for `bcftools csq`; return the suffix of the file, or nothing if there are none."""
    target = companion_path(work / GENOME, csq.GENES)
    written = haplotype_genes.write_genes(checked.annotation, work / GENOME, target, checked.codes)
    work.counts |= {"haplotype_genes": len(written.names), "genes_without_haplotypes": written.left_out}
    return [csq.GENES] if written.names else []


def without_stack(error: ToolError) -> JobError:
    """Return the error that snpEff reports, without the stack of Java; other failures as they are."""
    if error.failure_class != "TOOL_FAILED":
        return error
    lines = [line for line in error.tail if not STACK_LINE.match(line)]
    reason = re.sub(r"^(?:[a-z]+\.)*[A-Za-z]*(?:Exception|Error): ", "", lines[-1] if lines else "no reason given")
    return refused(f"snpEff cannot build a database from the genes ({reason}): check the file, or leave out --genes")


if __name__ == "__main__":
    main()
