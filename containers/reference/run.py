"""Prepare a reference: check a FASTA and its genes, build the indexes that the tools need, write reference.json."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import JobError, UsageError
from seqdrop.fastq.gunzip import is_gzip
from seqdrop.jobs import arguments, bwa_mem3, snpeff
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.names import DIPLOID, GENOME, REFERENCE_JSON
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.reference import fasta, genbank, gene_check, genes, genetic_code
from containers.reference.fasta import Genome, refused
from containers.reference.genetic_code import GeneticCode

BWA = (".amb", ".ann", ".bwt", ".pac", ".sa")
INDEXES = {"bwa": BWA, "bwa_mem3": bwa_mem3.INDEX, "isaac": ()}  # Isaac reads the FASTA itself
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
        ploidy = arguments.parse_options(args.args, "reference").ploidy or DIPLOID
        if args.aligner not in INDEXES:
            raise UsageError(f"aligner must be one of {', '.join(INDEXES)}")
        sources: dict[str, Any] = {}
        source = fetch_genes(work, args.genes, sources) if args.genes else None
        genome = read_genome(work, args.fasta, sources)
        summary = {
            "name": args.reference.parent.name,
            "contigs": genome.contigs,
            "ploidy": ploidy,
            "fingerprint": fingerprint(genome.contigs, source, ploidy),
            "indexes": [args.aligner, *(["snpeff"] if source else [])],
            "sources": sources,
        }
        existing = existing_indexes(args.reference, summary)
        checked, codes = check_genes(work, genome, args.genes, source) if source else (None, {})
        companions = [".fai", *build_indexes(work, work / GENOME, args.aligner)]
        if checked:
            companions.append(build_database(work, work / GENOME, args.genes, checked, codes))
        work.run("samtools", "dict", work / GENOME, "-o", work / "genome.fa.dict")
        work.counts["contigs"] = len(genome.contigs)
        summary |= {"indexes": sorted({*existing, *summary["indexes"]}), "tools": work.tools, "warnings": work.warnings}
        summary["genetic_codes"] = {contig: code.name for contig, code in codes.items()}
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
    ploidy = prepared.get("ploidy", DIPLOID)
    if prepared["contigs"] != summary["contigs"]:
        return "from another genome: choose another --name"
    if ploidy != summary["ploidy"]:
        return f"with ploidy {ploidy}: give --ploidy {ploidy}, or choose another --name"
    if "snpeff" not in prepared["indexes"]:
        return "from this genome without genes: choose another --name for the one with genes"
    with_genes = "with other genes" if "snpeff" in summary["indexes"] else "with genes"
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


def fetch_genes(work: Workspace, uri: S3Uri, sources: dict[str, Any]) -> Path:
    """Download the genes and decompress them; raise BadInputError for an unknown format."""
    if genes_suffix(uri) not in GENES:
        raise refused(f"genes must be one of {', '.join(GENES)}, not {uri.name}")
    decompress(fetch(work, "genes", uri, sources), work / GENES_SOURCE)
    return work / GENES_SOURCE


def genes_suffix(uri: S3Uri) -> str:
    """Return the suffix that tells the format of the genes."""
    return Path(uri.name.lower().removesuffix(".gz")).suffix


def check_genes(work: Workspace, genome: Genome, uri: S3Uri, source: Path) -> tuple[Path, dict[str, GeneticCode]]:
    """Compare the genes with the genome; return those on its contigs, and its contigs with another genetic code.

    Raises BadInputError.
    """
    *_, read = GENES[genes_suffix(uri)]
    lengths = {contig["name"]: contig["length"] for contig in genome.contigs}
    checked = work / "genes"
    annotation = read(source, checked, lengths)
    gene_check.check_contigs(work, annotation, lengths)
    return checked, gene_check.check_coding(work, annotation, work / GENOME)


def fingerprint(contigs: list[dict[str, Any]], genes_source: Path | None, ploidy: int = DIPLOID) -> str:
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


def build_database(work: Workspace, genome: Path, uri: S3Uri, checked: Path, codes: Mapping[str, GeneticCode]) -> str:
    """Build the snpEff database from checked genes; return its suffix. Raise BadInputError if snpEff refuses them."""
    genes_format, name, _ = GENES[genes_suffix(uri)]
    folder = work / snpeff.DATA / snpeff.NAME
    folder.mkdir(parents=True)
    shutil.copy(genome, folder / "sequences.fa")
    checked.rename(folder / name)
    config = [f"{snpeff.NAME}.genome : {snpeff.NAME}", *genetic_code.config(snpeff.NAME, codes)]
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


def without_stack(error: ToolError) -> JobError:
    """Return the error that snpEff reports, without the stack of Java; other failures as they are."""
    if error.failure_class != "TOOL_FAILED":
        return error
    lines = [line for line in error.tail if not STACK_LINE.match(line)]
    reason = re.sub(r"^(?:[a-z]+\.)*[A-Za-z]*(?:Exception|Error): ", "", lines[-1] if lines else "no reason given")
    return refused(f"snpEff cannot build a database from the genes ({reason}): check the file, or leave out --genes")


if __name__ == "__main__":
    main()
