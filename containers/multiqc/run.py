"""Compose the report: MultiQC reads the statistics of all steps that have some."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

from seqdrop.jobs import arguments
from seqdrop.jobs.step import step
from seqdrop.plan import layout, steps
from seqdrop.storage import s3
from seqdrop.text import count_warnings

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
    # In place of MultiQC's own lists, which cut names: of `HG002.trimmed-10-reads`, they leave `HG002`.
    "fn_clean_exts": [
        {"type": "regex", "pattern": f"{re.escape(ending.removeprefix(ALL_CALLS))}$"} for _, _, ending in SOURCES
    ],
    "fn_clean_trim": [],
    "module_order": ["samtools", "bcftools", "snpeff"],  # the order of the steps
    "intro_text": "Alignment, variants and their effects. Variants are those with PASS; the row with '_all_calls' has "
    "the others too. Effects are of all calls.",
    "show_analysis_paths": False,  # the directory is removed when the job ends
}


def main(argv: Sequence[str] | None = None) -> None:
    """Compose the report of a run."""
    args = arguments.parse(argv, __doc__, "sample", "stats", "vcf", "annotated_vcf", "report")
    sources = {getattr(args, output).companion(suffix): ending for output, suffix, ending in SOURCES}
    receipts = {layout.receipt_uri(args.results, name): name for name in steps.names() if name != "compose"}
    with step("compose", args, optional=[*sources, *receipts]) as work:
        arguments.parse_options(args.args, "multiqc")
        (work / "sources").mkdir()
        for uri, ending in sources.items():
            if uri in work.sources:
                work.fetch(uri, name=f"sources/{args.sample}{ending}", etag=work.sources[uri])
        warnings = [
            f"{name}: {warning['message']}"
            for uri, name in receipts.items()
            if uri in work.sources
            for warning in s3.store().read_json(uri).get("warnings", [])
        ]
        config = work / "config.yaml"
        config.write_text(json.dumps({**CONFIG, "report_comment": describe_warnings(warnings)}))  # JSON is YAML
        work.run("multiqc", "--no-ansi", "--config", config, "--title", f"seqdrop: {args.sample}",
                 "--data-format", "json", "--filename", "report.html", "--outdir", work.directory,
                 work / "sources")  # fmt: skip
        data = (work / "report_data/multiqc_data.json").rename(work / "report.html.json")
        # `multiqc --version` would load all of MultiQC a second time: several seconds.
        work.tools["multiqc"] = json.loads(data.read_text())["config_version"]
        work.publish(work / "report.html", "report", ".json")


def describe_warnings(warnings: Sequence[str]) -> str:
    """Return the comment at the top of the report, as HTML; "" without warnings."""
    if not warnings:
        return ""
    items = "".join(f"<li>{html.escape(warning)}</li>" for warning in warnings)
    return f"<strong>Read before you use the results: {count_warnings(len(warnings))}.</strong><ul>{items}</ul>"


if __name__ == "__main__":
    main()
