"""Collect the statistics of an alignment: samtools stats, flagstat and idxstats, and its depth by mosdepth.

Warn of reads that look wrong.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import floor
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import alignment_file, arguments, regions
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace

MIN_MAPPED = 0.1  # share of the reads; with less, the reference is probably wrong
MIN_PAIRED = 0.5  # share of the mapped reads
MAX_DUPLICATES = 0.5  # share of the mapped reads
OR_SINGLE = ", or so deep that many single-end reads begin at one base by chance"
# Of a genome or of its intervals, without duplicates. At this depth, 1 of 25 heterozygous variants has no two reads.
MIN_DEPTH = 10
THRESHOLDS = "1,10,20,30"  # depths of which mosdepth counts the bases of each region
DECIMALS = "6"  # of the means and shares that mosdepth writes; its default of 2 makes 99.6 % of 100 %
WINDOWS = 1_500  # of a genome, for the curve of its depth in the report


def main(argv: Sequence[str] | None = None) -> None:
    """Collect the statistics of a run."""
    args = arguments.parse(argv, __doc__, "reference", "intervals", "bam", "stats")
    with step("collect", args) as work:
        arguments.parse_options(args.args, "samtools_stats")
        reference = work.fetch_reference(".fai")
        bam = alignment_file.fetch(work)
        stats = work / "stats.txt"
        work.version("samtools")
        work.run("samtools", "stats", "-@", work.vcpus, "--reference", reference, bam, stdout=stats)
        work.run("samtools", "flagstat", "-@", work.vcpus, bam, stdout=work / "stats.txt.flagstat")
        work.run("samtools", "idxstats", bam, stdout=work / "stats.txt.idxstats")
        summary = dict(line.split("\t")[1:3] for line in stats.read_text().splitlines() if line.startswith("SN\t"))
        if "raw total sequences:" not in summary:
            raise JobError("TOOL_FAILED", "samtools stats wrote no summary")
        work.counts["reads"] = int(summary["raw total sequences:"])
        work.counts["reads_mapped"] = int(summary["reads mapped:"])
        work.counts["reads_paired"] = int(summary["reads properly paired:"])
        work.counts["reads_duplicated"] = int(summary["reads duplicated:"])
        warn_of_reads(work, single=not int(summary["reads paired:"]))
        warn_of_depth(work, "intervals" if args.intervals else "genome", measure_depth(work, reference, bam))
        work.publish(stats, "stats", ".flagstat", ".idxstats", ".mosdepth.summary.txt", ".mosdepth.global.dist.txt",
                     ".mosdepth.region.dist.txt", ".regions.bed.gz", ".thresholds.bed.gz")  # fmt: skip


def warn_of_reads(work: Workspace, *, single: bool) -> None:
    """Warn if few reads are mapped or properly paired, or if many are duplicates. `single`: the reads have no mates."""
    mapped, paired = work.counts["reads_mapped"], work.counts["reads_paired"]
    if mapped < MIN_MAPPED * work.counts["reads"]:
        advice = "check that it is the right one and that the sample is DNA"
        work.warn("FEW_MAPPED", f"only {mapped:,} of {work.counts['reads']:,} reads align to the reference: {advice}")
    if not single and paired < MIN_PAIRED * mapped:
        work.warn(
            "FEW_PAIRED",
            f"only {paired:,} of {mapped:,} mapped reads are properly paired (mates on one contig, in the usual "
            "direction and distance), and callers may ignore the others: check that R1 and R2 are mates of one library",
        )
    if work.counts["reads_duplicated"] > MAX_DUPLICATES * mapped:
        work.warn(
            "MANY_DUPLICATES",
            f"{work.counts['reads_duplicated']:,} of {mapped:,} mapped reads are duplicates, which callers ignore: if "
            f"they are amplicons{OR_SINGLE if single else ''}, run them with `--args align=--no-mark-duplicates`",
        )


def measure_depth(work: Workspace, reference: Path, bam: Path) -> float:
    """Measure the depth with mosdepth; return the mean of the intervals of the run, or of the genome.

    Duplicates are not counted, and two mates that overlap count once. Without intervals, the regions of mosdepth are
    windows of the genome.
    """
    lengths = regions.contig_lengths(reference)
    size, by = sum(lengths.values()), str(-(-sum(lengths.values()) // WINDOWS))
    if work.args.intervals:
        targets = regions.fetch_intervals(work, reference)
        size, by = sum(end - start for _, start, end in regions.read_bed(targets)), targets.name
    os.environ["MOSDEPTH_PRECISION"] = DECIMALS
    work.version("mosdepth")
    work.run("mosdepth", "--threads", work.vcpus - 1, "--no-per-base", "--by", by, "--thresholds", THRESHOLDS,
             "--fasta", reference, "stats.txt", bam)  # fmt: skip
    for line in (work / "stats.txt.mosdepth.summary.txt").read_text().splitlines():
        name, _, bases, *_ = line.split("\t")
        if name == "total_region":
            return int(bases) / size  # mosdepth's own mean leaves out contigs without reads
    raise JobError("TOOL_FAILED", "mosdepth wrote no summary")


def warn_of_depth(work: Workspace, place: str, depth: float) -> None:
    """Warn if the mean depth of the genome or of the intervals is so low that many variants are missed."""
    if depth < MIN_DEPTH:
        shown = floor(10 * depth) / 10  # 9.97 is not shown as 10.0
        work.warn(
            "LOW_DEPTH",
            f"the mean depth of the {place} is {shown} without duplicates, under {MIN_DEPTH}: variants may be missing",
        )


if __name__ == "__main__":
    main()
