"""Collect the statistics of an alignment: samtools stats, flagstat and idxstats. Warn of reads that look wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import alignment_file, arguments, regions
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace

MIN_MAPPED = 0.1  # share of the reads; with less, the reference is probably wrong
MIN_PAIRED = 0.5  # share of the mapped reads
MAX_DUPLICATES = 0.5  # share of the mapped reads
# Of a genome or of its intervals, without duplicates. At this depth, 1 of 25 heterozygous variants has no two reads.
MIN_DEPTH = 10


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
        warn_of_reads(work)
        if args.intervals:
            warn_of_depth(work, "intervals", depth_of_intervals(work, reference, bam))
        else:
            warn_of_depth(work, "genome", depth_of_genome(work.counts, summary, reference))
        work.publish(stats, "stats", ".flagstat", ".idxstats")


def warn_of_reads(work: Workspace) -> None:
    """Warn if few reads are mapped or properly paired, or if many are duplicates."""
    mapped, paired = work.counts["reads_mapped"], work.counts["reads_paired"]
    if mapped < MIN_MAPPED * work.counts["reads"]:
        advice = "check that it is the right one and that the sample is DNA"
        work.warn("FEW_MAPPED", f"only {mapped:,} of {work.counts['reads']:,} reads align to the reference: {advice}")
    if paired < MIN_PAIRED * mapped:
        work.warn(
            "FEW_PAIRED",
            f"only {paired:,} of {mapped:,} mapped reads are properly paired (mates on one contig, in the usual "
            "direction and distance), and callers may ignore the others: check that R1 and R2 are mates of one library",
        )
    if work.counts["reads_duplicated"] > MAX_DUPLICATES * mapped:
        work.warn(
            "MANY_DUPLICATES",
            f"{work.counts['reads_duplicated']:,} of {mapped:,} mapped reads are duplicates, which callers ignore: if "
            "they are amplicons, run them with `--args align=--no-mark-duplicates`",
        )


def depth_of_genome(counts: Mapping[str, int], summary: Mapping[str, str], reference: Path) -> float:
    """Return the mean depth of a genome without duplicates, which count as long as the other reads."""
    mapped = counts["reads_mapped"]
    share = (mapped - counts["reads_duplicated"]) / mapped if mapped else 0.0
    return int(summary["bases mapped (cigar):"]) * share / sum(regions.contig_lengths(reference).values())


def depth_of_intervals(work: Workspace, reference: Path, bam: Path) -> float:
    """Return the mean depth of the intervals of a run without duplicates; no other reads are decoded."""
    targets, depths = regions.fetch_intervals(work, reference), work / "depths.tsv"
    work.run("samtools", "bedcov", "--reference", reference, targets, bam, stdout=depths)
    rows = [list(map(int, line.split("\t")[1:])) for line in depths.read_text().splitlines()]
    return sum(bases for _, _, bases in rows) / sum(end - start for start, end, _ in rows)


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
