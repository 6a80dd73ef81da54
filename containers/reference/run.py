"""Prepare a reference: build the indexes that the tools need from a FASTA and its genes, and write reference.json."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import BadInputError, UsageError
from seqdrop.jobs import arguments, bwa_mem3, snpeff
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.names import GENOME, REFERENCE_JSON
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line

BWA = (".amb", ".ann", ".bwt", ".pac", ".sa")
INDEXES = {"bwa": BWA, "bwa_mem3": bwa_mem3.INDEX, "isaac": ()}  # Isaac reads the FASTA itself
GENES_SOURCE = "genes_source"
MAX_SIZE = 64 << 30  # bytes after decompression: twice the largest genome in use; more is a gzip bomb
MAX_NAME = 80  # characters of a contig name in a message
MAX_CONTIGS = 2_000_000
# The names that the SAM specification allows (1.2.1): others break headers, regions or shell scripts.
CONTIG = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]{0,254}")
BASES = b"ACGTUNRYSWKMBDHVX"
EMPTY_SEQUENCE = "the FASTA has no sequences, or one without bases or name"
GENES = {".gtf": "-gtf22", ".gff": "-gff3", ".gff3": "-gff3", ".gb": "-genbank", ".gbk": "-genbank"}


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare a reference for one aligner."""
    args = arguments.parse(argv, __doc__, "fasta", "genes", "aligner", "reference")
    with step("prepare", args) as work:
        arguments.parse_options(args.args)
        if args.aligner not in INDEXES:
            raise UsageError(f"aligner must be one of {', '.join(INDEXES)}")
        genome = work / GENOME
        decompress(work.fetch(args.fasta, name=local_name("fasta", args.fasta)), genome)
        contigs = list(read_contigs(genome))
        genes = fetch_genes(work, args.genes) if args.genes else None
        digest = fingerprint(contigs, genes)
        existing = existing_indexes(args.reference, digest)
        companions = [".fai", *build_indexes(work, genome, args.aligner)]
        if genes:
            companions.append(build_database(work, genome, args.genes, genes))
        work.run("samtools", "dict", genome, "-o", work / "genome.fa.dict")
        summary = {
            "name": args.reference.parent.name,
            "contigs": contigs,
            "fingerprint": digest,
            "indexes": sorted({*existing, args.aligner, *(["snpeff"] if args.genes else [])}),
            "tools": work.tools,
        }
        work.counts["contigs"] = len(contigs)
        (work / "genome.fa.json").write_text(json.dumps(summary, indent=2) + "\n")
        work.publish(genome, "reference", ".dict", *companions)
        work.publish_to(work / "genome.fa.json", args.reference.parent / REFERENCE_JSON)


def existing_indexes(reference: S3Uri, digest: str) -> list[str]:
    """Return the indexes that the reference already has; raise BadInputError if it is another genome.

    Runs may be reading that genome, so it is not replaced.
    """
    with contextlib.suppress(s3.MissingError):
        summary = s3.store().read_json(reference.parent / REFERENCE_JSON)
        if summary["fingerprint"] != digest:
            name = reference.parent.name
            raise BadInputError("REFERENCE", f"another genome has the name {name} already: choose another --name")
        return list(summary["indexes"])
    return []


def fetch_genes(work: Workspace, genes: S3Uri) -> Path:
    """Download the genes and decompress them."""
    decompress(work.fetch(genes, name=local_name("genes", genes)), work / GENES_SOURCE)
    return work / GENES_SOURCE


def fingerprint(contigs: list[dict[str, Any]], genes: Path | None) -> str:
    """Return a hash of the contigs and the genes, which does not depend on file names."""
    digest = hashlib.sha256(json.dumps(contigs).encode())
    if genes:
        digest.update(genes.read_bytes())
    return digest.hexdigest()[:20]


def local_name(kind: str, uri: S3Uri) -> str:
    """Return a safe name for a file of a user: its kind, and `.gz` if it is compressed."""
    return f"input_{kind}.gz" if uri.name.lower().endswith(".gz") else f"input_{kind}"


def decompress(source: Path, target: Path) -> None:
    """Move a file to `target`, decompressed if it is gzip; raise BadInputError if it is damaged or too large."""
    if source.suffix != ".gz":
        source.rename(target)
        return
    with gzip.open(source) as compressed, target.open("wb") as out:
        try:
            while block := compressed.read(8 << 20):
                out.write(block)
                if out.tell() > MAX_SIZE:
                    raise BadInputError("REFERENCE", f"{source.name} decompresses to more than {MAX_SIZE >> 30} GiB")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadInputError("REFERENCE", f"{source.name} is truncated or damaged: {error}") from None
    source.unlink()


def read_contigs(genome: Path) -> Iterator[dict[str, Any]]:
    """Yield name, length and MD5 (as in the M5 tag of @SQ) of every contig; raise BadInputError."""
    name, length, digest, names = "", 0, hashlib.md5(usedforsecurity=False), set[str]()
    with genome.open("rb") as lines:
        for line in lines:
            if not line.startswith(b">"):
                if not name and line.strip():
                    parse_name(b">", names)  # raises BadInputError: bases before any name
                bases = b"".join(line.split()).upper()  # M5 is of upper case without blanks
                if bases.translate(None, BASES):
                    raise BadInputError("REFERENCE", f"the FASTA has characters in {name} that are not bases")
                length += len(bases)
                digest.update(bases)
                continue
            if name:
                if not length:
                    raise BadInputError("REFERENCE", EMPTY_SEQUENCE)
                yield {"name": name, "length": length, "md5": digest.hexdigest()}
            name, length, digest = parse_name(line, names), 0, hashlib.md5(usedforsecurity=False)
    if not length:
        raise BadInputError("REFERENCE", EMPTY_SEQUENCE)
    yield {"name": name, "length": length, "md5": digest.hexdigest()}


def parse_name(line: bytes, names: set[str]) -> str:
    """Return the name in a header line and add it to `names`; raise BadInputError if it is invalid or repeated."""
    fields = line[1:].split()
    name = fields[0].decode("ascii", "replace") if fields else ""
    if not CONTIG.fullmatch(name) or name in names:
        text = plain_line(name, MAX_NAME) or "empty"
        raise BadInputError("REFERENCE", f"the FASTA has a missing, repeated or invalid sequence name: {text}")
    if len(names) == MAX_CONTIGS:
        raise BadInputError("REFERENCE", f"the FASTA has more than {MAX_CONTIGS} sequences")
    names.add(name)
    return name


def build_indexes(work: Workspace, genome: Path, aligner: str) -> tuple[str, ...]:
    """Build the indexes for an aligner; return their suffixes."""
    work.version("samtools")
    work.run("samtools", "faidx", genome)
    if aligner != "isaac":
        work.run("bwa", "index", genome)
    if aligner == "bwa_mem3":
        bwa_mem3.build_index(genome)
    return INDEXES[aligner]


def build_database(work: Workspace, genome: Path, genes: S3Uri, source: Path) -> str:
    """Build the snpEff database; return its suffix."""
    genes_format = GENES.get(Path(genes.name.lower().removesuffix(".gz")).suffix)
    if genes_format is None:
        raise BadInputError("REFERENCE", f"genes must be one of {', '.join(GENES)}, not {genes.name}")
    folder = work / snpeff.DATA / snpeff.NAME
    folder.mkdir(parents=True)
    shutil.copy(genome, folder / "sequences.fa")
    target = {"-gtf22": "genes.gtf", "-gff3": "genes.gff", "-genbank": "genes.gbk"}[genes_format]
    shutil.copy(source, folder / target)
    (work / snpeff.CONFIG).write_text(f"{snpeff.NAME}.genome : {snpeff.NAME}\n")
    work.version("snpEff", "java", "-jar", snpeff.JAR, "-version")
    # No check against lists of CDS and proteins: most genomes come without these.
    snpeff_build = snpeff.command("build", work.memory, work.directory)
    work.run(*snpeff_build, genes_format, "-noCheckCds", "-noCheckProtein", snpeff.NAME)
    (folder / "sequences.fa").unlink()
    work.run("tar", "-C", work.directory, "-cf", f"{genome}{snpeff.DATABASE}", snpeff.CONFIG, snpeff.DATA)
    return snpeff.DATABASE


if __name__ == "__main__":
    main()
