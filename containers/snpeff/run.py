"""Annotate variants with snpEff: the genes that they affect, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import arguments, calling, snpeff
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.storage import s3


def main(argv: Sequence[str] | None = None) -> None:
    """Annotate the variants of a run."""
    args = arguments.parse(argv, __doc__, "reference", "vcf", "annotated_vcf")
    with step("annotate", args) as work:
        arguments.parse_options(args.args)
        vcf = work.fetch(args.vcf, ".tbi", name="calls.vcf.gz")
        annotated = work / "annotated.vcf.gz"
        database = args.reference.companion(snpeff.DATABASE)
        if s3.store().find(database):
            annotate(work, work.fetch(database), vcf, annotated)
        else:
            copy_unannotated(work, vcf, annotated)
        work.version("bcftools")
        work.counts["variants"] = calling.verify_vcf(work, annotated)
        calls = calling.count_records(work, vcf)
        if work.counts["variants"] != calls:
            raise JobError("TOOL_FAILED", f"{calls} calls went in but {work.counts['variants']} came out")
        work.publish(annotated, "annotated_vcf", ".tbi", ".csv")


def annotate(work: Workspace, database: Path, vcf: Path, annotated: Path) -> None:
    """Annotate a VCF with the database of the reference."""
    work.run("tar", "-xf", database, "-C", work.directory)
    work.version("snpEff", "java", "-jar", snpeff.JAR, "-version")
    summary = companion_path(annotated, ".csv")
    snpeff_ann = snpeff.command("ann", work.memory, work.directory)
    work.processes.pipe(
        None,
        [*snpeff_ann, "-csvStats", summary, snpeff.NAME, vcf],
        ["bgzip", "-c", "-@", work.vcpus],
        stdout=annotated,
    )


def copy_unannotated(work: Workspace, vcf: Path, annotated: Path) -> None:
    """Copy a VCF with a header line that says that the reference has no genes to annotate with."""
    header = work / "header.txt"
    header.write_text("##seqdrop_annotation=none, the reference was prepared without genes\n")
    work.run("bcftools", "annotate", "-h", header, "-Oz", "-o", annotated, vcf)
    companion_path(annotated, ".csv").write_text("")


if __name__ == "__main__":
    main()
