"""Split the genome into regions, call them in parallel, verify and publish the VCF: for every variant caller."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import arguments
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import bed
from seqdrop.plan.bed import Interval
from seqdrop.plan.names import INTERVALS

INTERFACE = ("sample", "reference", "intervals", "bam", "vcf")
# The empty block at the end of every BGZF file (SAM specification, 4.1.2): without it the file is truncated.
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
REGIONS_PER_CORE = 4  # so that no core waits long for the slowest region
MIN_REGION_SIZE = 50_000  # bases; for a smaller region, the start of a program takes longer than it saves


@dataclass(frozen=True, slots=True)
class Inputs:
    """The local files that a caller reads."""

    reference: Path
    bam: Path
    targets: Path | None  # BED file of the intervals of the run; None for the whole genome


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the genome for one process, as BED files.

    A BED file, because contig names can have colons (HLA): `contig:start-end` is ambiguous with these.
    """

    bed: Path  # the whole region
    targets: Path  # the targets of the run within the region; the same file as `bed` for the whole genome


def parse_arguments(argv: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """Parse the command line that all callers have."""
    return arguments.parse(argv, description, *INTERFACE)


def fetch_inputs(work: Workspace) -> Inputs:
    """Download the reference, the BAM and the intervals of a run."""
    reference = work.fetch_reference(".fai")
    bam = work.fetch(work.args.bam, ".bai", name="sorted.bam")
    return Inputs(reference, bam, fetch_intervals(work, reference) if work.args.intervals else None)


def fetch_intervals(work: Workspace, reference: Path) -> Path:
    """Download the BED file of a run; return one with only its regions, in the order of the contigs."""
    source = work.fetch(work.args.intervals, name=INTERVALS)
    targets = work / "targets.bed"
    try:
        with source.open("rb") as file:
            targets.write_bytes(bed.read(file, INTERVALS, contig_lengths(reference)))
    except bed.BedError as error:
        raise BadInputError("INTERVALS", str(error)) from None
    return targets


def contig_lengths(reference: Path) -> dict[str, int]:
    """Return the lengths of the contigs in the order of the reference, from its `.fai` index."""
    fields = (line.split("\t") for line in Path(f"{reference}.fai").read_text().splitlines())
    return {name: int(length) for name, length, *_ in fields}


def _write_bed(path: Path, intervals: Iterable[Interval]) -> Path:
    path.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in intervals))
    return path


def split_genome(reference: Path, count: int) -> Iterator[Interval]:
    """Split the genome into about `count` intervals of about the same size, in the order of the contigs."""
    lengths = contig_lengths(reference)
    size = max(MIN_REGION_SIZE, -(-sum(lengths.values()) // count))
    for contig, length in lengths.items():
        for start in range(0, length, size):
            yield Interval(contig, start, min(start + size, length))


def write_regions(work: Workspace, inputs: Inputs) -> list[Region]:
    """Write the BED files of all regions for the cores of this job; omit regions without targets."""
    intervals = list(split_genome(inputs.reference, work.vcpus * REGIONS_PER_CORE))
    targets = clip(inputs.targets, intervals) if inputs.targets else {}
    regions = []
    for number, interval in enumerate(intervals):
        if inputs.targets and interval not in targets:
            continue
        bed = _write_bed(work / f"{number}.bed", [interval])
        within = _write_bed(work / f"{number}.targets.bed", targets[interval]) if inputs.targets else bed
        regions.append(Region(bed, within))
    return regions


def clip(bed: Path, intervals: Iterable[Interval]) -> dict[Interval, list[Interval]]:
    """Return the regions of a BED file within each interval; intervals without any are omitted."""
    of_contig = defaultdict[str, list[Interval]](list)
    for interval in intervals:
        of_contig[interval.contig].append(interval)
    clipped = defaultdict[Interval, list[Interval]](list)
    for line in bed.read_text().splitlines():
        contig, start, end = line.split("\t")
        for interval in of_contig[contig]:
            first, last = max(int(start), interval.start), min(int(end), interval.end)
            if first < last:
                clipped[interval].append(Interval(contig, first, last))
    return clipped


def call_and_publish(work: Workspace, inputs: Inputs, call: Callable[[Region], Path], *, exclude: str) -> None:
    """Call all regions in parallel, normalise and filter the variants, and publish the VCF.

    `call` runs a caller on one region and returns its VCF or BCF file. `exclude` is a bcftools expression: variants
    that match it are omitted.
    """
    parts = work.processes.run_parallel(call, write_regions(work, inputs), work.vcpus)
    file_list, vcf = work / "parts.txt", work / "calls.vcf.gz"
    file_list.write_text("".join(f"{part}\n" for part in parts))
    # One allele for each record, left-aligned: the form in which variants can be compared.
    work.processes.pipe(
        None,
        ["bcftools", "concat", "--file-list", file_list, "-Ou"],
        ["bcftools", "norm", "-f", inputs.reference, "-m", "-any", "-Ou", "-"],
        ["bcftools", "view", "-e", exclude, "-Oz", "-o", vcf, "-"],
    )
    publish(work, vcf)


def count_records(work: Workspace, vcf: Path) -> int:
    """Return the number of records of an indexed VCF."""
    return int(work.processes.output("bcftools", "index", "--nrecords", vcf))


def verify_vcf(work: Workspace, vcf: Path) -> int:
    """Verify that a bgzipped VCF is complete, write its `.tbi` index, and return the number of its records."""
    with vcf.open("rb") as file:
        file.seek(max(0, vcf.stat().st_size - len(BGZF_END)))
        if file.read() != BGZF_END:
            raise JobError("TOOL_FAILED", f"{vcf.name} is truncated: it has no end-of-file block")
    work.run("bcftools", "index", "--tbi", "--force", vcf)
    return count_records(work, vcf)


def publish(work: Workspace, vcf: Path) -> None:
    """Verify the VCF, then publish it with its index and the statistics for the report."""
    work.version("bcftools")
    work.counts["variants"] = verify_vcf(work, vcf)
    work.run("bcftools", "stats", vcf, stdout=vcf.with_name(vcf.name + ".stats"))
    work.publish(vcf, "vcf", ".tbi", ".stats")
