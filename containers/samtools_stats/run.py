"""Collect the quality figures of an alignment: samtools stats, flagstat and idxstats."""

from __future__ import annotations

from collections.abc import Sequence

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import arguments
from seqdrop.jobs.step import step

FEW = 0.1  # of the reads: less is most likely the wrong reference


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments.parse(argv, __doc__, "reference", "bam", "stats")
    with step("collect", args) as work:
        arguments.parse_options(args.args)
        reference = work.fetch_reference(".fai")
        bam = work.fetch(args.bam, ".bai", name="sorted.bam")
        stats = work / "stats.txt"
        work.version("samtools")
        work.run("samtools", "stats", "-@", work.vcpus, "--reference", reference, bam, stdout=stats)
        work.run("samtools", "flagstat", "-@", work.vcpus, bam, stdout=work / "stats.txt.flagstat")
        work.run("samtools", "idxstats", bam, stdout=work / "stats.txt.idxstats")
        figures = dict(line.split("\t")[1:3] for line in stats.read_text().splitlines() if line.startswith("SN\t"))
        if "raw total sequences:" not in figures:
            raise JobError("TOOL_FAILED", "samtools stats wrote no summary")
        work.counts["reads"] = int(figures["raw total sequences:"])
        work.counts["reads_mapped"] = int(figures["reads mapped:"])
        work.counts["reads_duplicated"] = int(figures["reads duplicated:"])
        if work.counts["reads_mapped"] < FEW * work.counts["reads"]:
            sentence = f"only {work.counts['reads_mapped']:,} of {work.counts['reads']:,} reads match this reference"
            work.warn("FEW_MAPPED", f"{sentence}: is it the right one, and are these reads of DNA?")
        work.publish(stats, "stats", ".flagstat", ".idxstats")


if __name__ == "__main__":
    main()
