"""What all variant callers share: their interface, and the proof that a VCF is whole."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import arguments
from seqdrop.jobs.workspace import Workspace

INTERFACE = ("sample", "reference", "intervals", "bam", "vcf")
LARGEST_BED = 256 << 20  # bytes; one of all exons of man has 10 MB
BED_COLUMNS = 3  # contig, start and end; the rest is for people
# The empty block that ends every BGZF file (SAM specification, 4.1.2): without it the file was cut off.
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def parse_arguments(argv: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    return arguments.parse(argv, description, *INTERFACE)


def fetch_intervals(work: Workspace, reference: Path) -> Path:
    """The regions of a run's BED in the order of the genome, with nothing else of what a person may have written."""
    given = work.fetch(work.args.intervals, name="intervals.bed")
    if given.stat().st_size > LARGEST_BED:
        raise BadInputError("CHOICES", f"intervals.bed has more than {LARGEST_BED >> 20} MiB")
    fields = (line.split("\t") for line in Path(f"{reference}.fai").read_text().splitlines())
    lengths = {name: int(length) for name, length, *_ in fields}
    order = {name: place for place, name in enumerate(lengths)}
    with given.open(errors="replace") as lines:
        found = sorted(_regions(lines, lengths), key=lambda region: (order[region[0]], region[1:]))
    if not found:
        raise BadInputError("CHOICES", "intervals.bed has no region")
    bed = work / "regions.bed"
    bed.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in found))
    return bed


def _regions(lines: Iterable[str], lengths: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        contig, *ends = line.rstrip("\r\n").split("\t")[:BED_COLUMNS]
        if len(ends) != BED_COLUMNS - 1 or not all(re.fullmatch("[0-9]{1,12}", end) for end in ends):
            raise BadInputError("CHOICES", f"line {number} of intervals.bed is no region")
        start, end = map(int, ends)
        if contig not in lengths or not start < end <= lengths[contig]:
            raise BadInputError("CHOICES", f"line {number} of intervals.bed is not in this reference")
        yield contig, start, end


def count_records(work: Workspace, vcf: Path) -> int:
    """The records of an indexed VCF."""
    return int(work.processes.output("bcftools", "index", "--nrecords", vcf))


def verify_vcf(work: Workspace, vcf: Path) -> int:
    """The number of records of a bgzipped VCF that has its end and can be read; writes its `.tbi`."""
    with vcf.open("rb") as file:
        file.seek(max(0, vcf.stat().st_size - len(BGZF_END)))
        if file.read() != BGZF_END:
            raise JobError("TOOL_FAILED", f"{vcf.name} is cut off: it has no end-of-file block")
    work.run("bcftools", "index", "--tbi", "--force", vcf)
    return count_records(work, vcf)


def publish(work: Workspace, vcf: Path) -> None:
    """Publish the calls with their index and the statistics the report reads."""
    work.version("bcftools")
    work.counts["variants"] = verify_vcf(work, vcf)
    work.run("bcftools", "stats", vcf, stdout=vcf.with_name(vcf.name + ".stats"))
    work.publish(vcf, "vcf", ".tbi", ".stats")
