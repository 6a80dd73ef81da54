"""Prepare a reference: check a FASTA and its genes, build the indexes that the tools need, write reference.json."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import JobError, UsageError
from seqdrop.fastq.gunzip import is_gzip
from seqdrop.jobs import arguments, bwa_mem3, csq, snpeff
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.plan import ploidy
from seqdrop.plan.bed import BedError
from seqdrop.plan.names import DIPLOID, GENOME, REFERENCE_JSON, canonical
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.reference import fasta, genbank, gene_check, genes, genetic_code, haplotype_genes
from containers.reference.fasta import Genome, refused
from containers.reference.genes import Annotation
from containers.reference.genetic_code import GeneticCode

BWA = (".amb", ".ann", ".bwt", ".pac", ".sa")
INDEXES = {"bwa": BWA, "bwa_mem3": bwa_mem3.INDEX, "isaac": ()}  # Isaac reads the FASTA itself
GENE_INDEXES = {"snpeff": snpeff.DATABASE, "csq": csq.GENES}
FASTA_SOURCE, GENES_SOURCE = "fasta_source", "genes_source"
MAX_SIZE = 64 << 30  # bytes after decompression: twice the largest genome in use; more is a gzip bomb
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
        options = arguments.parse_options(args.args, "reference")
        if args.aligner not in INDEXES:
            raise UsageError(f"aligner must be one of {', '.join(INDEXES)}")
        sources: dict[str, Any] = {}
        source = fetch_genes(work, args.genes, sources) if args.genes else None
        genome = read_genome(work, args.fasta, sources)
        ploidies = check_ploidy(options, genome)
        summary = {
            "name": args.reference.parent.name,
            "contigs": genome.contigs,
            **ploidies,
            "fingerprint": fingerprint(genome.contigs, source, **ploidies),
            "indexes": [args.aligner],
            "genetic_codes": {},
            "sources": sources,
        }
        existing = existing_indexes(args.reference, summary)
        checked = check_genes(work, genome, args.genes, source) if source else None
        companions = [".fai", *build_indexes(work, work / GENOME, args.aligner)]
        if checked:
            companions.append(build_database(work, work / GENOME, args.genes, checked))
            companions += write_haplotype_genes(work, checked)
            summary["indexes"] += [index for index, suffix in GENE_INDEXES.items() if suffix in companions]
            summary["genetic_codes"] = {contig: code.name for contig, code in checked.codes.items()}
        work.run("samtools", "dict", work / GENOME, "-o", work / "genome.fa.dict")
        work.counts["contigs"] = len(genome.contigs)
        summary |= {"indexes": sorted({*existing, *summary["indexes"]}), "tools": work.tools, "warnings": work.warnings}
        (work / "genome.fa.json").write_text(json.dumps(summary, indent=2) + "\n")
        work.publish(work / GENOME, "reference", ".dict", *companions)
        work.publish_to(work / "genome.fa.json", args.reference.parent / REFERENCE_JSON)


def existing_indexes(reference: S3Uri, summary: Mapping[str, Any]) -> list[str]:
    """Return the indexes that the reference already has; raise BadInputError if it differs from `summary`.

    Runs may be reading that reference, so it is not replaced.
    """
    with contextlib.suppress(s3.MissingError):
        prepared = s3.store().read_json(reference.parent / REFERENCE_JSON)
        if prepared["fingerprint"] != summary["fingerprint"]:
            raise refused(f"{reference.parent.name} is prepared already {difference(prepared, summary)}")
        return list(prepared["indexes"])
    return []


def difference(prepared: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return how a prepared reference differs from the one of `summary`, and what to do."""
    before = prepared.get("ploidy", DIPLOID)
    if prepared["contigs"] != summary["contigs"]:
        return "from another genome: choose another --name"
    if before != summary["ploidy"]:
        return f"with ploidy {before}: give --ploidy {before}, or choose another --name"
    if prepared.get(ploidy.REGIONS, []) != summary[ploidy.REGIONS]:
        same = "give the same --ploidy-file" if prepared.get(ploidy.REGIONS) else "leave out --ploidy-file"
        return f"with ploidy {ploidy.describe(prepared)}: {same}, or choose another --name"
    if "snpeff" not in prepared["indexes"]:
        return "from this genome without genes: choose another --name for the one with genes"
    with_genes = "with other genes" if "genes" in summary["sources"] else "with genes"
    return f"from this genome {with_genes}: give the same --genes, or choose another --name"


def fetch(work: Workspace, kind: str, uri: S3Uri, sources: dict[str, Any]) -> Path:
    """Download the pinned version of a file of a user, and record the version and its checksum in `sources`.

    A preparation that was written by hand may have no pins: it reads the present version.
    """
    sources[kind] = work.args.sources.get(kind) or s3.store().head(uri).source()
    pin = {word: str(sources[kind].get(word, "")) for word in ("version_id", "etag", "crc64nvme")}
    return work.fetch(uri, name=local_name(kind, uri), **pin)


def read_genome(work: Workspace, uri: S3Uri, sources: dict[str, Any]) -> Genome:
    """Download a FASTA, check it and write it as the genome; warn of ambiguity codes. Raise BadInputError."""
    decompress(fetch(work, "fasta", uri, sources), work / FASTA_SOURCE)
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


def fetch_genes(work: Workspace, uri: S3Uri, sources: dict[str, Any]) -> Path:
    """Download the genes and decompress them; raise BadInputError for an unknown format."""
    if genes_suffix(uri) not in GENES:
        raise refused(f"genes must be one of {', '.join(GENES)}, not {uri.name}")
    decompress(fetch(work, "genes", uri, sources), work / GENES_SOURCE)
    return work / GENES_SOURCE


def genes_suffix(uri: S3Uri) -> str:
    """Return the suffix that tells the format of the genes."""
    return Path(uri.name.lower().removesuffix(".gz")).suffix


@dataclass(frozen=True, slots=True)
class CheckedGenes:
    """Genes that fit the genome."""

    path: Path  # those on contigs of the genome
    annotation: Annotation
    codes: Mapping[str, GeneticCode]  # of contigs with another genetic code than the standard one


def check_genes(work: Workspace, genome: Genome, uri: S3Uri, source: Path) -> CheckedGenes:
    """Compare the genes with the genome; return those on its contigs. Raise BadInputError."""
    *_, read = GENES[genes_suffix(uri)]
    lengths = contig_lengths(genome)
    checked = work / "genes"
    annotation = read(source, checked, lengths)
    gene_check.check_contigs(work, annotation, lengths)
    return CheckedGenes(checked, annotation, gene_check.check_coding(work, annotation, work / GENOME))


def fingerprint(
    contigs: list[dict[str, Any]],
    genes_source: Path | None,
    ploidy: int = DIPLOID,
    ploidy_regions: Sequence[Sequence[Any]] = (),
) -> str:
    """Return a hash of contigs, genes and ploidy, which does not depend on file names.

    Two is the ploidy of references that were prepared before they had one: their fingerprint is unchanged.
    """
    digest = hashlib.sha256(json.dumps(contigs).encode())
    if genes_source:
        with genes_source.open("rb") as file:
            while block := file.read(8 << 20):
                digest.update(block)
    if ploidy != DIPLOID:
        digest.update(f"ploidy {ploidy}".encode())
    if ploidy_regions:
        digest.update(f"regions {canonical(ploidy_regions)}".encode())
    return digest.hexdigest()[:20]


def local_name(kind: str, uri: S3Uri) -> str:
    """Return a safe name for a file of a user: its kind, and `.gz` if it is compressed."""
    return f"input_{kind}.gz" if uri.name.lower().endswith(".gz") else f"input_{kind}"


def decompress(source: Path, target: Path) -> None:
    """Move a file to `target`, decompressed if it is gzip; raise BadInputError if it is damaged or too large."""
    if source.suffix != ".gz" and not is_gzip(source):
        source.rename(target)
        return
    with gzip.open(source) as compressed, target.open("wb") as out:
        try:
            while block := compressed.read(8 << 20):
                out.write(block)
                if out.tell() > MAX_SIZE:
                    raise refused(f"{source.name} decompresses to more than {MAX_SIZE >> 30} GiB")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise refused(f"{source.name} is truncated or damaged: {error}. Copy it again") from None
    source.unlink()


def build_indexes(work: Workspace, genome: Path, aligner: str) -> tuple[str, ...]:
    """Build the indexes for an aligner; return their suffixes."""
    work.version("samtools")
    work.run("samtools", "faidx", genome)
    if aligner != "isaac":
        work.run("bwa", "index", genome)
    if aligner == "bwa_mem3":
        bwa_mem3.build_index(genome)
    return INDEXES[aligner]


def build_database(work: Workspace, genome: Path, uri: S3Uri, checked: CheckedGenes) -> str:
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
