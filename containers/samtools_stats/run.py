"""Collect the statistics of an alignment: samtools stats, flagstat and idxstats."""

from __future__ import annotations

from collections.abc import Sequence

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import arguments
from seqdrop.jobs.step import step

MIN_MAPPED = 0.1  # share of the reads; with less, the reference is probably wrong


def main(argv: Sequence[str] | None = None) -> None:
    """Collect the statistics of a run."""
    args = arguments.parse(argv, __doc__, "reference", "bam", "stats")
    with step("collect", args) as work:
        arguments.parse_options(args.args, "samtools_stats")
        reference = work.fetch_reference(".fai")
        bam = work.fetch(args.bam, ".bai", name="sorted.bam")
        stats = work / "stats.txt"
        work.version("samtools")
        work.run("samtools", "stats", "-@", work.vcpus, "--reference", reference, bam, stdout=stats)
        work.run("samtools", "flagstat", "-@", work.vcpus, bam, stdout=work / "stats.txt.flagstat")
        work.run("samtools", "idxstats", bam, stdout=work / "stats.txt.idxstats")
        summary = dict(line.split("\t")[1:3] for line in stats.read_text().splitlines() if line.startswith("SN\t"))
        if "raw total sequences:" not in summary:
            raise JobError("TOOL_FAILED", "samtools stats wrote no summary")
        work.counts["reads"] = reads = int(summary["raw total sequences:"])
        work.counts["reads_mapped"] = mapped = int(summary["reads mapped:"])
        work.counts["reads_duplicated"] = int(summary["reads duplicated:"])
        if mapped < MIN_MAPPED * reads:
            advice = "check that it is the right one and that the sample is DNA"
            work.warn("FEW_MAPPED", f"only {mapped:,} of {reads:,} reads align to the reference: {advice}")
        work.publish(stats, "stats", ".flagstat", ".idxstats")


if __name__ == "__main__":
    main()
