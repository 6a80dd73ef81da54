"""Prepare a reference: a FASTA and its genes become a genome with every index the tools need, and reference.json."""

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
LARGEST = 64 << 30  # bytes unpacked: twice the largest genome that anybody aligns to; what is more is a bomb
SHOWN = 80  # characters of a name that is repeated to a person
MOST_CONTIGS = 2_000_000
# As the SAM specification has them (1.2.1): what is outside breaks headers, regions or the shell of somebody's script.
CONTIG = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]{0,254}")
BASES = b"ACGTUNRYSWKMBDHVX"
NO_FASTA = "the FASTA holds no sequence, or one without bases or name"
GENES = {".gtf": "-gtf22", ".gff": "-gff3", ".gff3": "-gff3", ".gb": "-genbank", ".gbk": "-genbank"}


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments.parse(argv, __doc__, "fasta", "genes", "aligner", "reference")
    with step("prepare", args) as work:
        arguments.parse_options(args.args)
        if args.aligner not in INDEXES:
            raise UsageError(f"aligner must be one of {', '.join(INDEXES)}")
        genome = work / GENOME
        unpack(work.fetch(args.fasta, name=staged("fasta", args.fasta)), genome)
        contigs = list(read_contigs(genome))
        genes = fetch_genes(work, args.genes) if args.genes else None
        mark = fingerprint(contigs, genes)
        earlier = prepared_before(args.reference, mark)
        companions = [".fai", *index(work, genome, args.aligner)]
        if genes:
            companions.append(build_database(work, genome, args.genes, genes))
        work.run("samtools", "dict", genome, "-o", work / "genome.fa.dict")
        summary = {
            "name": args.reference.parent.name,
            "contigs": contigs,
            "fingerprint": mark,
            "indexes": sorted({*earlier, args.aligner, *(["snpeff"] if args.genes else [])}),
            "tools": work.tools,
        }
        work.counts["contigs"] = len(contigs)
        (work / "genome.fa.json").write_text(json.dumps(summary, indent=2) + "\n")
        work.publish(genome, "reference", ".dict", *companions)
        work.publish_to(work / "genome.fa.json", args.reference.parent / REFERENCE_JSON)


def prepared_before(reference: S3Uri, mark: str) -> list[str]:
    """The indexes that are there already; raises BadInputError for a name of another genome, which runs may read."""
    with contextlib.suppress(s3.MissingError):
        found = s3.store().read_json(reference.parent / REFERENCE_JSON)
        if found["fingerprint"] != mark:
            name = reference.parent.name
            raise BadInputError("REFERENCE", f"{name} is another genome already: choose another --name")
        return list(found["indexes"])
    return []


def fetch_genes(work: Workspace, genes: S3Uri) -> Path:
    """The genes as they were given, unpacked."""
    unpack(work.fetch(genes, name=staged("genes", genes)), work / GENES_SOURCE)
    return work / GENES_SOURCE


def fingerprint(contigs: list[dict[str, Any]], genes: Path | None) -> str:
    """Tells one genome with its genes from any other, whatever they are called."""
    digest = hashlib.sha256(json.dumps(contigs).encode())
    if genes:
        digest.update(genes.read_bytes())
    return digest.hexdigest()[:20]


def staged(kind: str, uri: S3Uri) -> str:
    """A plain name for a person's file, which says no more than whether it is packed."""
    return f"given_{kind}.gz" if uri.name.lower().endswith(".gz") else f"given_{kind}"


def unpack(source: Path, target: Path) -> None:
    if source.suffix != ".gz":
        source.rename(target)
        return
    with gzip.open(source) as packed, target.open("wb") as plain:
        try:
            while block := packed.read(8 << 20):
                plain.write(block)
                if plain.tell() > LARGEST:
                    raise BadInputError("REFERENCE", f"{source.name} unpacks to more than {LARGEST >> 30} GiB")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadInputError("REFERENCE", f"{source.name} is cut off or damaged: {error}") from None
    source.unlink()


def read_contigs(genome: Path) -> Iterator[dict[str, Any]]:
    """Name, length and MD5 of every contig, as @SQ's M5 has it: upper case, no blanks. Raises BadInputError."""
    name, length, digest, seen = "", 0, hashlib.md5(usedforsecurity=False), set[str]()
    with genome.open("rb") as lines:
        for line in lines:
            if not line.startswith(b">"):
                if not name and line.strip():
                    contig_name(b">", seen)  # raises: bases before any name
                bases = b"".join(line.split()).upper()
                if bases.translate(None, BASES):
                    raise BadInputError("REFERENCE", f"the FASTA has signs in {name} that are no bases")
                length += len(bases)
                digest.update(bases)
                continue
            if name:
                if not length:
                    raise BadInputError("REFERENCE", NO_FASTA)
                yield {"name": name, "length": length, "md5": digest.hexdigest()}
            name, length, digest = contig_name(line, seen), 0, hashlib.md5(usedforsecurity=False)
    if not length:
        raise BadInputError("REFERENCE", NO_FASTA)
    yield {"name": name, "length": length, "md5": digest.hexdigest()}


def contig_name(line: bytes, seen: set[str]) -> str:
    words = line[1:].split()
    name = words[0].decode("ascii", "replace") if words else ""
    if not CONTIG.fullmatch(name) or name in seen:
        shown = plain_line(name, SHOWN) or "empty"
        raise BadInputError("REFERENCE", f"the FASTA has a sequence with no name of its own: {shown}")
    if len(seen) == MOST_CONTIGS:
        raise BadInputError("REFERENCE", f"the FASTA has more than {MOST_CONTIGS} sequences")
    seen.add(name)
    return name


def index(work: Workspace, genome: Path, aligner: str) -> tuple[str, ...]:
    work.version("samtools")
    work.run("samtools", "faidx", genome)
    if aligner != "isaac":
        work.run("bwa", "index", genome)
    if aligner == "bwa_mem3":
        bwa_mem3.build_index(genome)
    return INDEXES[aligner]


def build_database(work: Workspace, genome: Path, genes: S3Uri, source: Path) -> str:
    """Build snpEff's database; returns the companion's suffix."""
    kind = GENES.get(Path(genes.name.lower().removesuffix(".gz")).suffix)
    if kind is None:
        raise BadInputError("REFERENCE", f"genes must be one of {', '.join(GENES)}, not {genes.name}")
    folder = work / snpeff.DATA / snpeff.NAME
    folder.mkdir(parents=True)
    shutil.copy(genome, folder / "sequences.fa")
    target = {"-gtf22": "genes.gtf", "-gff3": "genes.gff", "-genbank": "genes.gbk"}[kind]
    shutil.copy(source, folder / target)
    (work / snpeff.CONFIG).write_text(f"{snpeff.NAME}.genome : {snpeff.NAME}\n")
    work.version("snpEff", "java", "-jar", snpeff.JAR, "-version")
    # Genomes without a list of proteins or CDS to check against are the common case here.
    build = snpeff.command("build", work.memory, work.directory)
    work.run(*build, kind, "-noCheckCds", "-noCheckProtein", snpeff.NAME)
    (folder / "sequences.fa").unlink()
    work.run("tar", "-C", work.directory, "-cf", f"{genome}{snpeff.DATABASE}", snpeff.CONFIG, snpeff.DATA)
    return snpeff.DATABASE


if __name__ == "__main__":
    main()
