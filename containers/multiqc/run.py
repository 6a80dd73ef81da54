"""Build the report a person opens: MultiQC over the figures of all steps that left any."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seqdrop.jobs import arguments
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step

# What the report reads: companions of the planned outputs, and endings by which MultiQC knows them.
SOURCES = (
    ("stats", "", ".samtools_stats.txt"),
    ("stats", ".flagstat", ".flagstat.txt"),
    ("stats", ".idxstats", ".idxstats.txt"),
    ("vcf", ".stats", ".bcftools_stats.txt"),
    ("annotated_vcf", ".csv", ".snpeff.csv"),
)
CONFIG = {
    "use_filename_as_sample_name": True,  # one row for the sample, not one for each file about it
    "extra_fn_clean_exts": [ending for _, _, ending in SOURCES],
    "module_order": ["samtools", "bcftools", "snpeff"],  # as the data went
    "intro_text": "Alignment, variants and their effects.",
    "show_analysis_paths": False,  # of a directory that is gone
}


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments.parse(argv, __doc__, "sample", "stats", "vcf", "annotated_vcf", "report")
    sources = {getattr(args, word).companion(suffix): ending for word, suffix, ending in SOURCES}
    with step("compose", args, optional=sources) as work:
        arguments.parse_options(args.args)
        (work / "sources").mkdir()
        for uri in work.sources:
            work.fetch(uri, name=f"sources/{args.sample}{sources[uri]}", etag=work.sources[uri])
        work.version("multiqc")
        config = work / "config.yaml"
        config.write_text(json.dumps(CONFIG))  # JSON is YAML
        options: Command = ["--no-ansi", "--config", config, "--title", f"seqdrop: {args.sample}"]
        output: Command = ["--data-format", "json", "--filename", "report.html", "--outdir", work.directory]
        work.run("multiqc", *options, *output, work / "sources")
        (work / "report_data/multiqc_data.json").rename(work / "report.html.json")
        work.publish(work / "report.html", "report", ".json")


if __name__ == "__main__":
    main()
