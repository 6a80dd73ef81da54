"""Annotate variants with snpEff: the genes that they affect, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import arguments, calling, snpeff
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace, companion_path

# What snpEff writes into ANN where genes or genome do not fit, so that the effect is likely to be wrong.
DOUBTFUL = ("ERROR_", "WARNING_REF_DOES_NOT_MATCH_GENOME", "WARNING_TRANSCRIPT_MULTIPLE_STOP_CODONS")
MAX_DOUBTFUL = 0.02  # of the variants; a few genes with odd frames are in every annotation
SPLIT_TAG = "SITE"  # INFO of a split record: CHROM|POS|REF|ALT|number of its allele, as called


def main(argv: Sequence[str] | None = None) -> None:
    """Annotate the variants of a run."""
    args = arguments.parse(argv, __doc__, "reference", "vcf", "annotated_vcf")
    with step("annotate", args) as work:
        arguments.parse_options(args.args, "snpeff")
        vcf = split_alleles(work, work.fetch(args.vcf, ".tbi", name="calls.vcf.gz"))
        annotated = work / "annotated.vcf.gz"
        database = args.reference.companion(snpeff.DATABASE)
        has_genes = work.has_reference_file(database)
        if has_genes:
            annotate(work, work.fetch_reference_file(database), vcf, annotated)
        else:
            copy_unannotated(work, vcf, annotated)
        work.version("bcftools")
        alleles, work.counts["alleles"] = calling.verify_vcf(work, vcf), calling.verify_vcf(work, annotated)
        if work.counts["alleles"] != alleles:
            raise JobError("TOOL_FAILED", f"{alleles} alleles went in but {work.counts['alleles']} came out")
        if has_genes:
            warn_of_doubtful_effects(work, annotated, alleles)
        work.publish(annotated, "annotated_vcf", ".tbi", ".csv")


def split_alleles(work: Workspace, vcf: Path) -> Path:
    """Write one record for each allele of a VCF, left-aligned, with the original record of each split one."""
    reference, split = work.fetch_reference(".fai"), work / "alleles.vcf.gz"
    work.run("bcftools", "norm", "-m", "-any", "-f", reference, "--old-rec-tag", SPLIT_TAG, "-Oz1", "-o", split, vcf)
    return split


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


def warn_of_doubtful_effects(work: Workspace, annotated: Path, variants: int) -> None:
    """Warn if snpEff marks the effects of many of the variants as doubtful."""
    if not variants:
        return
    doubtful = work / "doubtful.bcf"
    expression = " || ".join(f'INFO/ANN~"{mark}"' for mark in DOUBTFUL)
    work.run("bcftools", "view", "-i", expression, "-Ob", "-o", doubtful, annotated)
    work.run("bcftools", "index", doubtful)
    number = calling.count_records(work, doubtful)
    if number > MAX_DOUBTFUL * variants:
        work.warn(
            "DOUBTFUL_EFFECTS",
            f"the effects of {number:,} of {variants:,} variants are marked {' or '.join(DOUBTFUL)} in ANN: "
            "check that the genes of the reference fit its genome",
        )


def copy_unannotated(work: Workspace, vcf: Path, annotated: Path) -> None:
    """Copy a VCF with a header line that says that the reference has no genes to annotate with."""
    header = work / "header.txt"
    header.write_text("##seqdrop_annotation=none, the reference was prepared without genes\n")
    work.run("bcftools", "annotate", "-h", header, "-Oz", "-o", annotated, vcf)
    companion_path(annotated, ".csv").write_text("")
    work.warn(
        "NO_GENES",
        f"the variants have no genes and effects: {work.args.reference.parent.name} was prepared without genes",
    )


if __name__ == "__main__":
    main()
