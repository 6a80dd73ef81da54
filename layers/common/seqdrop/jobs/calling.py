"""Call the pieces of a genome in parallel, verify and publish the VCF: for every variant caller."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import alignment_file, arguments, regions, scatter, vcf_header
from seqdrop.jobs.gvcf import Depth, measure_depth
from seqdrop.jobs.processes import Command
from seqdrop.jobs.regions import Piece
from seqdrop.jobs.workspace import Workspace, array_index, name_companions

INTERFACE = ("sample", "reference", "intervals", "bam", "parts", "vcf", "gvcf")
# The empty block at the end of every BGZF file (SAM specification, 4.1.2): without it the file is truncated.
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
IN_DELETION = "InDeletion"  # in the column FILTER
# A person has a variant in about 1,000 bases, all of which are found at this depth.
GOOD_DEPTH, ENOUGH_BASES = 20, 10_000


@dataclass(frozen=True, slots=True)
class Inputs:
    """The local files that a caller reads."""

    reference: Path
    bam: Path  # or a CRAM; of a child its part alone, and no file for the job that gathers the parts
    targets: Path | None  # BED file of the intervals of the run; None for the whole genome


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
    """Download the reference, the intervals and the aligned reads of a run, as far as this job reads them."""
    reference = work.fetch_reference(".fai")
    targets = regions.fetch_intervals(work, reference, padded=True) if work.args.intervals else None
    if index := array_index():
        scatter.fetch_reads(work, reference, regions.write_pieces(work, reference, targets), int(index))
    elif work.args.parts == 1:
        alignment_file.fetch(work)
    return Inputs(reference, alignment_file.path(work), targets)


def call_and_publish(work: Workspace, inputs: Inputs, call: Callable[[Piece], Path], filters: Filters) -> None:
    """Call all pieces in parallel, then normalise, filter and publish the calls.

    `call` runs a caller on one piece and returns its gVCF as BCF. A child of an array job does so for its part alone;
    with several parts, a job without an index gathers theirs.
    """
    pieces, records = regions.write_pieces(work, inputs.reference, inputs.targets), None
    if index := array_index():
        scatter.publish_part(work, pieces, int(index), call)
        return
    if work.args.parts > 1:
        parts, records = scatter.fetch_parts(work, pieces)
    else:
        parts = work.processes.run_parallel(call, pieces, work.vcpus)
    file_list, gvcf = work / "parts.txt", work / "sites.g.vcf.gz"
    file_list.write_text("".join(f"{part}\n" for part in parts))
    work.run("bcftools", "concat", "--file-list", file_list, "-Oz", "-o", gvcf)
    # The records that have an alternate allele; the blocks of some callers have the symbolic allele <*>.
    calls: Command = ["bcftools", "view", "-m2", "-e", 'ALT="<*>"', "-Ou", gvcf]
    normalise_and_publish(work, inputs, calls, gvcf, filters, records=records)


def normalise_and_publish(
    work: Workspace,
    inputs: Inputs,
    calls: Command,
    gvcf: Path,
    filters: Filters = no_filters,
    statistics: Iterable[Path] = (),
    records: int | None = None,
) -> None:
    """Left-align the calls that a command writes, mark those that match a filter, and publish VCF and gVCF.

    No call is removed: the FILTER column has the names of the filters that it matches, or PASS. Alleles of one site
    stay in one record, so that it has the genotype of the sample (`1/2`). The records of the gVCF and the statistics
    are published as the caller wrote them. `records` is the number that the gVCF must have, if it is known.
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
    publish(work, vcf, gvcf, name_companions(statistics, vcf), records)
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


def publish(work: Workspace, vcf: Path, gvcf: Path, companions: Iterable[str] = (), records: int | None = None) -> None:
    """Verify the gVCF and the VCF, then publish them as `publish_vcf` does; `records` as in `normalise_and_publish`."""
    work.version("bcftools")
    found = finish_vcf(work, gvcf)
    if records not in {None, found}:
        raise JobError("TOOL_FAILED", f"the parts have {records:,} records, but {found:,} came out of bcftools concat")
    work.publish(gvcf, "gvcf", ".tbi")
    publish_vcf(work, vcf, companions)


def publish_vcf(work: Workspace, vcf: Path, companions: Iterable[str] = ()) -> None:
    """Verify a VCF, then publish it with its index and the statistics for the report.

    There are two statistics: of the calls with PASS, and of all.
    """
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
