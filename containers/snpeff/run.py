"""Annotate variants with snpEff: which gene each one hits, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import arguments, calling, snpeff
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage import s3


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments.parse(argv, __doc__, "reference", "vcf", "annotated_vcf")
    with step("annotate", args) as work:
        arguments.parse_options(args.args)
        vcf = work.fetch(args.vcf, ".tbi", name="calls.vcf.gz")
        annotated = work / "annotated.vcf.gz"
        database = args.reference.companion(snpeff.DATABASE)
        if s3.store().find(database):
            annotate(work, work.fetch(database), vcf, annotated)
        else:
            leave_as_it_is(work, vcf, annotated)
        work.version("bcftools")
        work.counts["variants"] = calling.verify_vcf(work, annotated)
        calls = calling.count_records(work, vcf)
        if work.counts["variants"] != calls:
            raise JobError("TOOL_FAILED", f"{calls} calls went in but {work.counts['variants']} came out")
        work.publish(annotated, "annotated_vcf", ".tbi", ".csv")


def annotate(work: Workspace, database: Path, vcf: Path, annotated: Path) -> None:
    work.run("tar", "-xf", database, "-C", work.directory)
    work.version("snpEff", "java", "-jar", snpeff.JAR, "-version")
    summary = annotated.with_name(annotated.name + ".csv")
    words: Command = ["-csvStats", summary, snpeff.NAME, vcf]
    line = [*snpeff.command("ann", work.memory, work.directory), *words]
    work.processes.pipe(None, line, ["bgzip", "-c", "-@", work.vcpus], stdout=annotated)


def leave_as_it_is(work: Workspace, vcf: Path, annotated: Path) -> None:
    """A reference without genes has nothing to annotate with: the file says so in its header."""
    note = work / "note.txt"
    note.write_text("##seqdrop_annotation=none, the reference was prepared without genes\n")
    work.run("bcftools", "annotate", "-h", note, "-Oz", "-o", annotated, vcf)
    annotated.with_name(annotated.name + ".csv").write_text("")


if __name__ == "__main__":
    main()
