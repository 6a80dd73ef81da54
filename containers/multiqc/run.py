"""Compose the report: MultiQC reads the statistics of all steps that have some."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seqdrop.jobs import arguments
from seqdrop.jobs.step import step

ALL_CALLS = "_all_calls"  # after the sample: the statistics of all calls are a row of their own
# The inputs of the report: companions of planned outputs, and the file name endings by which MultiQC recognises them.
SOURCES = (
    ("stats", "", ".samtools_stats.txt"),
    ("stats", ".flagstat", ".flagstat.txt"),
    ("stats", ".idxstats", ".idxstats.txt"),
    ("vcf", ".stats", ".bcftools_stats.txt"),
    ("vcf", ".all.stats", f"{ALL_CALLS}.bcftools_stats.txt"),
    ("annotated_vcf", ".csv", ".snpeff.csv"),
)
CONFIG = {
    "use_filename_as_sample_name": True,  # one row for the sample, not one for each file about it
    "extra_fn_clean_exts": [ending.removeprefix(ALL_CALLS) for _, _, ending in SOURCES],
    "module_order": ["samtools", "bcftools", "snpeff"],  # the order of the steps
    "intro_text": "Alignment, variants and their effects. Variants are those with PASS; the row with '_all_calls' has "
    "the others too. Effects are of all calls.",
    "show_analysis_paths": False,  # the directory is removed when the job ends
}


def main(argv: Sequence[str] | None = None) -> None:
    """Compose the report of a run."""
    args = arguments.parse(argv, __doc__, "sample", "stats", "vcf", "annotated_vcf", "report")
    sources = {getattr(args, output).companion(suffix): ending for output, suffix, ending in SOURCES}
    with step("compose", args, optional=sources) as work:
        arguments.parse_options(args.args)
        (work / "sources").mkdir()
        for uri in work.sources:
            work.fetch(uri, name=f"sources/{args.sample}{sources[uri]}", etag=work.sources[uri])
        config = work / "config.yaml"
        config.write_text(json.dumps(CONFIG))  # JSON is YAML
        work.run("multiqc", "--no-ansi", "--config", config, "--title", f"seqdrop: {args.sample}",
                 "--data-format", "json", "--filename", "report.html", "--outdir", work.directory,
                 work / "sources")  # fmt: skip
        data = (work / "report_data/multiqc_data.json").rename(work / "report.html.json")
        # `multiqc --version` would load all of MultiQC a second time: several seconds.
        work.tools["multiqc"] = json.loads(data.read_text())["config_version"]
        work.publish(work / "report.html", "report", ".json")


if __name__ == "__main__":
    main()
