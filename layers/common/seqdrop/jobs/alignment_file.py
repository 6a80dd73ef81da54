"""Fetch, write and verify the aligned reads of a run, as BAM or CRAM: the address in the plan says which."""

from __future__ import annotations

import gzip
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import bam_counts
from seqdrop.jobs.bam_counts import Counts
from seqdrop.jobs.processes import Command
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.plan.names import BAM, CRAM, GENOME
from seqdrop.storage.uri import S3Uri

INDEXES = {BAM: ".bai", CRAM: ".crai"}
# samtools writes the path of the reference to the header of a CRAM (UR). This one is the same for all jobs: the genome
# in the directory of whoever reads the CRAM, if there is one.
REFERENCE = f"/proc/self/cwd/{GENOME}"
# Level 1 is enough for a BAM. Strelka 2.9 reads CRAM 3.0, the default of samtools before 1.22, but not 3.1.
OUTPUT: dict[str, Command] = {
    BAM: ["-O", "bam,level=1"],
    CRAM: ["-O", "cram,version=3.0", "--reference", REFERENCE],
}


def format_of(uri: S3Uri) -> str:
    """Return the format of aligned reads by their address."""
    return CRAM if uri.name.endswith(f".{CRAM}") else BAM


def index_of(uri: S3Uri) -> str:
    """Return the suffix of the index by the address of the aligned reads."""
    return INDEXES[format_of(uri)]


def fetch(work: Workspace) -> Path:
    """Download the aligned reads of a run with their index; their readers need the reference too if they are CRAM."""
    return work.fetch(work.args.bam, index_of(work.args.bam), name=path(work).name)


def path(work: Workspace) -> Path:
    """Return the path of the aligned reads of a run, or of their part, for programs that read them."""
    return work / f"sorted.{format_of(work.args.bam)}"


def new(work: Workspace) -> Path:
    """Return the path for the aligned reads of a job, in the format of the plan."""
    return work / f"aligned.{format_of(work.args.bam)}"


def with_index(path: Path, output: str = "") -> str:
    """Return the output argument of `samtools --write-index`, with the path of the index; `output` may be `-`."""
    form = path.suffix.removeprefix(".")
    return f"{output or path}##idx##{path}{INDEXES[form]}"


def convert(work: Workspace, bam: Path) -> Path:
    """Return aligned reads in the format of the plan, for aligners that write a BAM themselves."""
    path = new(work)
    if path.suffix == bam.suffix:
        return bam
    out = with_index(path)
    work.run("samtools", "view", "--no-PG", "-@", work.vcpus, *OUTPUT[CRAM], "--write-index", "-o", out, bam)
    bam.unlink()
    return path


def verify(work: Workspace, path: Path) -> None:
    """Raise JobError unless the file is complete, its index is its own, and its contigs are those of the reference."""
    work.run("samtools", "quickcheck", path)  # a CRAM without its last block is read to its end without an error
    # "*", the unplaced reads, are found by the index: this fails without a valid one, idxstats would not
    work.run("samtools", "view", "-c", path, "*")
    if path.suffix == f".{CRAM}":
        _verify_index(work, path)
        _verify_contigs(work, path)


def _verify_index(work: Workspace, cram: Path) -> None:
    """Compare the index with a new one: the query of a CRAM succeeds if lines of its index are missing."""
    index, new_index = companion_path(cram, INDEXES[CRAM]), work / "new.crai"
    work.run("samtools", "index", cram, new_index)
    if gzip.decompress(index.read_bytes()) != gzip.decompress(new_index.read_bytes()):
        raise JobError("TOOL_FAILED", "the index of the CRAM does not list its slices")


def _verify_contigs(work: Workspace, cram: Path) -> None:
    """Compare the contigs in the header with those of the reference: who reads a CRAM finds the bases by their MD5."""
    header = work.processes.output("samtools", "view", "-H", "--no-PG", cram).splitlines()
    lines = [dict(field.split(":", 1) for field in line.split("\t")[1:]) for line in header if line.startswith("@SQ\t")]
    found = [(line.get("SN"), line.get("M5")) for line in lines]
    expected = [(contig["name"], contig["md5"]) for contig in work.reference["contigs"]]
    if found != expected:
        wrong = next((one for one, two in zip(found, expected, strict=False) if one != two), None)
        where = f": {wrong[0]} has MD5 {wrong[1]}" if wrong else f": {len(found)} instead of {len(expected)}"
        raise JobError("TOOL_FAILED", f"the contigs in the CRAM are not those of the reference{where}")


def count_primary(work: Workspace, path: Path, *, known: bool) -> Counts:
    """Count the primary records and their bases as `bam_counts` does. A CRAM is decoded, which verifies its blocks."""
    if path.suffix == f".{BAM}":
        return bam_counts.count_primary(path, known=known)
    command: Command = ["samtools", "view", "-u", "-@", work.vcpus, "--reference", REFERENCE, path]
    return work.processes.read(lambda stream: bam_counts.count_stream(stream, known=known), *command)
