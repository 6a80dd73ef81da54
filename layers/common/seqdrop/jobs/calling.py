"""Split the genome into pieces, call them in parallel, verify and publish the VCF: for every variant caller."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import arguments, vcf_header
from seqdrop.jobs.gvcf import Depth, measure_depth
from seqdrop.jobs.processes import Command
from seqdrop.jobs.workspace import Workspace, name_companions
from seqdrop.plan import bed, ploidy
from seqdrop.plan.bed import Interval
from seqdrop.plan.names import INTERVALS

INTERFACE = ("sample", "reference", "intervals", "bam", "vcf", "gvcf")
# The empty block at the end of every BGZF file (SAM specification, 4.1.2): without it the file is truncated.
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# The pieces depend on the genome and on the targets alone, so that the calls do not depend on the size of the job.
MAX_PIECES = 256  # of about the same size: four for each core of a large job
# Bases. For a smaller piece, the start of the programs takes longer than it saves. Targets have deeper reads.
MIN_PIECE_SIZE, MIN_PIECE_SIZE_OF_TARGETS = 200_000, 20_000
SIZE_PER_CONTIG = 100  # more bases in a piece: every program reads and writes the header with all contigs
IN_DELETION = "InDeletion"  # in the column FILTER
# A person has a variant in about 1,000 bases, all of which are found at this depth.
GOOD_DEPTH, ENOUGH_BASES = 20, 10_000
MAX_GAP = 2_000  # bases between two intervals that are read at once, since that is quicker than two searches in a BAM


@dataclass(frozen=True, slots=True)
class Inputs:
    """The local files that a caller reads."""

    reference: Path
    bam: Path
    targets: Path | None  # BED file of the intervals of the run; None for the whole genome


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the genome for one process, as BED files.

    BED files, because contig names can have colons (HLA): `contig:start-end` is ambiguous with these.
    """

    targets: Path  # where to call
    spans: Path  # what to read for that: the targets with their neighbour bases and the short gaps between them


class Filter(NamedTuple):
    """A name for the FILTER column and the bcftools expression of the calls that get it."""

    name: str
    expression: str


Filters = Callable[[Depth], Sequence[Filter]]  # of a run with this depth


def no_filters(_: Depth) -> Sequence[Filter]:
    """Return no filters: the caller has its own."""
    return ()


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
    try:
        with source.open("rb") as file:
            targets = bed.intervals(file, INTERVALS, contig_lengths(reference))
    except bed.BedError as error:
        raise BadInputError("INTERVALS", str(error)) from None
    return _write_bed(work / "targets.bed", bed.merge(targets))


def contig_lengths(reference: Path) -> dict[str, int]:
    """Return the lengths of the contigs in the order of the reference, from its `.fai` index."""
    fields = (line.split("\t") for line in Path(f"{reference}.fai").read_text().splitlines())
    return {name: int(length) for name, length, *_ in fields}


def _write_bed(path: Path, intervals: Iterable[Interval]) -> Path:
    path.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in intervals))
    return path


def split(intervals: Sequence[Interval], min_size: int) -> Iterator[list[Interval]]:
    """Yield pieces of about the same number of bases, in order: small intervals share a piece, large ones are cut."""
    size = max(min_size, -(-sum(end - start for _, start, end in intervals) // MAX_PIECES))
    piece, filled = list[Interval](), 0
    for contig, start, end in intervals:
        for first in range(start, end, size):
            part = Interval(contig, first, min(first + size, end))
            if piece and filled + part.end - part.start > size:
                yield piece
                piece, filled = [], 0
            piece.append(part)
            filled += part.end - part.start
    if piece:
        yield piece


def write_pieces(work: Workspace, inputs: Inputs) -> list[Piece]:
    """Write the BED files of all pieces of the genome, or of the targets of the run."""
    lengths = contig_lengths(inputs.reference)
    whole = [Interval(contig, 0, length) for contig, length in lengths.items()]
    intervals = read_bed(inputs.targets) if inputs.targets else whole
    min_size = MIN_PIECE_SIZE_OF_TARGETS if inputs.targets else MIN_PIECE_SIZE
    min_size += SIZE_PER_CONTIG * (len(lengths) - 1)
    pieces = []
    for number, piece in enumerate(split(intervals, min_size)):
        # One base more on each side: some versions of mpileup omit reads that begin at the last base of a region.
        wider = [Interval(name, max(0, start - 1), min(end + 1, lengths[name])) for name, start, end in piece]
        targets = _write_bed(work / f"{number}.targets.bed", piece)
        pieces.append(Piece(targets, _write_bed(work / f"{number}.spans.bed", bed.merge(wider, MAX_GAP))))
    return pieces


def read_bed(path: Path) -> list[Interval]:
    """Read a BED file that `fetch_intervals` wrote."""
    lines = (line.split("\t") for line in path.read_text().splitlines())
    return [Interval(contig, int(start), int(end)) for contig, start, end in lines]


def fetch_haploid(work: Workspace, reference: Path) -> list[Interval]:
    """Return the haploid parts of the reference by its reference.json; raise BadInputError."""
    try:
        return ploidy.haploid(work.reference, contig_lengths(reference))
    except ValueError as error:
        raise BadInputError("REFERENCE", str(error)) from None


def call_and_publish(work: Workspace, inputs: Inputs, call: Callable[[Piece], Path], filters: Filters) -> None:
    """Call all pieces in parallel, then normalise, filter and publish the calls.

    `call` runs a caller on one piece and returns its gVCF as VCF or BCF.
    """
    parts = work.processes.run_parallel(call, write_pieces(work, inputs), work.vcpus)
    file_list, gvcf = work / "parts.txt", work / "sites.g.vcf.gz"
    file_list.write_text("".join(f"{part}\n" for part in parts))
    work.run("bcftools", "concat", "--file-list", file_list, "-Oz", "-o", gvcf)
    # The records that have an alternate allele; the blocks of some callers have the symbolic allele <*>.
    calls: Command = ["bcftools", "view", "-m2", "-e", 'ALT="<*>"', "-Ou", gvcf]
    normalise_and_publish(work, inputs, calls, gvcf, filters)


def normalise_and_publish(
    work: Workspace,
    inputs: Inputs,
    calls: Command,
    gvcf: Path,
    filters: Filters = no_filters,
    statistics: Iterable[Path] = (),
) -> None:
    """Left-align the calls that a command writes, mark those that match a filter, and publish VCF and gVCF.

    No call is removed: the FILTER column has the names of the filters that it matches, or PASS. Alleles of one site
    stay in one record, so that it has the genotype of the sample (`1/2`). The records of the gVCF and the statistics
    are published as the caller wrote them.
    """
    vcf, depth = work / "calls.vcf.gz", measure_depth(work, gvcf)
    work.counts["typical_depth"] = depth.typical
    marks: list[Command] = [
        ["bcftools", "filter", "-m", "+", "-s", name, "-e", expression, "-Ou", "-"]
        for name, expression in filters(depth)
    ]
    marked = work / "marked.bcf"
    norm: Command = ["bcftools", "norm", "-f", inputs.reference, "-Ob1", "-o", marked, "-"]
    work.processes.pipe(None, calls, *marks, norm)
    mask = in_deletion(work, marked) if marks else []
    share: Command = ["bcftools", "+fill-tags", "-", "-Oz", "-o", vcf, "--", "-t", "FORMAT/VAF"]
    work.processes.pipe(None, ["bcftools", "view", "-Ou", marked], *mask, share)
    publish(work, vcf, gvcf, name_companions(statistics, vcf))
    warn_of_no_variants(work, depth)


def in_deletion(work: Workspace, calls: Path) -> list[Command]:
    """Return the commands that mark calls whose base a call with PASS deletes from all copies of the contig.

    They come from the ends of reads that the aligner placed on the deleted bases.
    """
    header, deleted = work / "in_deletion.txt", work / "deleted.bed"
    header.write_text(f'##FILTER=<ID={IN_DELETION},Description="A call with PASS deletes the base from all copies">\n')
    is_whole = 'FILTER="PASS" && ILEN<0 && (GT="AA" || GT="A")'
    work.run("bcftools", "query", "-i", is_whole, "-f", "%CHROM\t%POS\t%END\n", calls, stdout=deleted)
    return [
        ["bcftools", "annotate", "-h", header, "-Ou", "-"],
        ["bcftools", "filter", "-m", "+", "-s", IN_DELETION, "--mask-file", deleted, "--mask-overlap", "0", "-Ou", "-"],
    ]


def warn_of_no_variants(work: Workspace, depth: Depth) -> None:
    """Warn if no call has PASS although most bases have enough reads for calls, and there are enough of these bases."""
    if work.counts["variants"] or depth.typical < GOOD_DEPTH or depth.bases < ENOUGH_BASES:
        return
    others = work.counts["variants_all"]
    work.warn(
        "NO_VARIANTS",
        f"no variant has PASS ({others:,} others were called), although {depth.bases:,} bases have reads, half of them "
        f"{depth.typical:,} or more: right for a sample that equals its reference, such as a control; if this one "
        "should have variants, check its reference, its regions and the options of the caller",
    )


def count_records(work: Workspace, vcf: Path) -> int:
    """Return the number of records of an indexed VCF."""
    return int(work.processes.output("bcftools", "index", "--nrecords", vcf))


def verify_vcf(work: Workspace, vcf: Path) -> int:
    """Verify that a bgzipped VCF is complete, write its `.tbi` index, and return the number of its records."""
    _check_end(vcf)
    work.run("bcftools", "index", "--tbi", "--force", vcf)
    return count_records(work, vcf)


def finish_vcf(work: Workspace, vcf: Path) -> int:
    """Verify a VCF to be published, with a header that is the same for every run of the same reads."""
    _check_end(vcf)  # the new header comes with a new end
    vcf_header.clean(work, vcf)
    return verify_vcf(work, vcf)


def _check_end(vcf: Path) -> None:
    with vcf.open("rb") as file:
        file.seek(max(0, vcf.stat().st_size - len(BGZF_END)))
        if file.read() != BGZF_END:
            raise JobError("TOOL_FAILED", f"{vcf.name} is truncated: it has no end-of-file block")


def publish(work: Workspace, vcf: Path, gvcf: Path, companions: Iterable[str] = ()) -> None:
    """Verify the gVCF and the VCF, then publish them with their indexes and the statistics for the report.

    There are two statistics: of the calls with PASS, and of all.
    """
    work.version("bcftools")
    finish_vcf(work, gvcf)
    work.publish(gvcf, "gvcf", ".tbi")
    work.counts["variants_all"] = finish_vcf(work, vcf)
    all_calls, passed = vcf.with_name(f"{vcf.name}.all.stats"), vcf.with_name(f"{vcf.name}.stats")
    work.run("bcftools", "stats", vcf, stdout=all_calls)
    work.run("bcftools", "stats", "-f", "PASS", vcf, stdout=passed)
    work.counts["variants"] = count_in_stats(passed)
    work.publish(vcf, "vcf", ".tbi", ".stats", ".all.stats", *companions)


def count_in_stats(stats: Path) -> int:
    """Return the number of records that `bcftools stats` counted; raise JobError."""
    match = re.search(r"^SN\t0\tnumber of records:\t(\d+)$", stats.read_text(), re.MULTILINE)
    if not match:
        raise JobError("TOOL_FAILED", "bcftools stats wrote no summary")
    return int(match[1])
