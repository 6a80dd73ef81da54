"""Build the report a person opens: MultiQC over the figures of all steps that left any."""

from __future__ import annotations

from collections.abc import Sequence

from seqdrop import job
from seqdrop.process import Command

# What the report reads, as companions of the planned outputs, and the names MultiQC knows them by.
SOURCES = (
    ("stats", "", "samtools_stats.txt"),
    ("stats", ".flagstat", "flagstat.txt"),
    ("stats", ".idxstats", "idxstats.txt"),
    ("vcf", ".stats", "bcftools_stats.txt"),
    ("annotated_vcf", ".csv", "snpeff.csv"),
)


def main(argv: Sequence[str] | None = None) -> None:
    args = job.arguments(argv, __doc__, "sample", "stats", "vcf", "annotated_vcf", "report")
    with job.step("compose", args) as work:
        job.options(args.args)
        folder = work / "sources" / args.sample  # MultiQC takes the sample's name from the folder
        folder.mkdir(parents=True)
        found = [
            (getattr(args, word).companion(suffix), f"sources/{args.sample}/{name}")
            for word, suffix, name in SOURCES
            if work.exists(getattr(args, word).companion(suffix))
        ]
        for uri, name in found:
            work.fetch(uri, name=name)
        work.counts["sources"] = len(found)
        work.version("multiqc")
        names = ["--title", f"seqdrop: {args.sample}", "--dirs", "--dirs-depth", "1"]
        output: Command = ["--data-format", "json", "--filename", "report.html", "--outdir", work.directory]
        work.run("multiqc", "--no-ansi", *names, *output, work / "sources")
        (work / "report_data/multiqc_data.json").rename(work / "report.html.json")
        work.publish(work / "report.html", "report", ".json")


if __name__ == "__main__":
    main()
