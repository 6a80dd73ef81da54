"""Annotate variants with snpEff: the genes that they affect, and how; and with bcftools csq: effects of haplotypes.

Before that, with the known variants of the reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import arguments, calling, csq, snpeff
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace, companion_path

from containers.snpeff import known_variants

# What snpEff writes into ANN where genes or genome do not fit, so that the effect is likely to be wrong.
DOUBTFUL = ("ERROR_", "WARNING_REF_DOES_NOT_MATCH_GENOME", "WARNING_TRANSCRIPT_MULTIPLE_STOP_CODONS")
MAX_DOUBTFUL = 0.02  # of the variants; a few genes with odd frames are in every annotation
SPLIT_TAG = "SITE"  # INFO of a split record: CHROM|POS|REF|ALT|number of its allele, as called
VERSION = re.compile(r'^##SnpEffVersion="(\S+) ', re.MULTILINE)  # then the time of its build, and the author


def main(argv: Sequence[str] | None = None) -> None:
    """Annotate the variants of a run."""
    args = arguments.parse(argv, __doc__, "reference", "vcf", "annotated_vcf")
    with step("annotate", args) as work:
        arguments.parse_options(args.args, "snpeff")
        reference = work.fetch_reference(".fai")
        calls = work.fetch(args.vcf, ".tbi", name="calls.vcf.gz")
        work.version("bcftools")
        redact_samples(work, calls)
        vcf = split_alleles(work, reference, calls)
        alleles = calling.verify_vcf(work, vcf)
        vcf = known_variants.add(work, vcf)
        annotated = work / "annotated.vcf.gz"
        database = args.reference.companion(snpeff.DATABASE)
        has_genes = work.has_reference_file(database)
        if has_genes:
            with_haplotypes = add_haplotype_effects(work, reference, vcf, alleles)
            annotate(work, work.fetch_reference_file(database), with_haplotypes, annotated)
        else:
            copy_unannotated(work, vcf, annotated)
        work.counts["alleles"] = calling.verify_vcf(work, annotated)
        if work.counts["alleles"] != alleles:
            raise JobError("TOOL_FAILED", f"{alleles} alleles went in but {work.counts['alleles']} came out")
        if has_genes:
            record_version(work, annotated)
            warn_of_doubtful_effects(work, annotated, alleles)
        work.publish(annotated, "annotated_vcf", ".tbi", ".csv")


def redact_samples(work: Workspace, vcf: Path) -> None:
    """Redact the sample ids of a VCF in the log: the arguments of a job of a joint run do not have them."""
    work.processes.redactor.add_samples(*work.processes.output("bcftools", "query", "-l", vcf).split())


def split_alleles(work: Workspace, reference: Path, vcf: Path) -> Path:
    """Write one record for each allele of a VCF, left-aligned, with the original record of each split one."""
    split = work / "alleles.vcf.gz"
    work.run("bcftools", "norm", "-m", "-any", "-f", reference, "--old-rec-tag", SPLIT_TAG, "-Oz1", "-o", split, vcf)
    return split


def add_haplotype_effects(work: Workspace, reference: Path, vcf: Path, alleles: int) -> Path:
    """Return a VCF with BCSQ; the same one, with a warning or a line in its header, if BCSQ cannot be had."""
    genes = work.args.reference.companion(csq.GENES)
    if not work.has_reference_file(genes):
        return add_header(work, vcf, "##seqdrop_haplotype_effects=none, the reference has no genes in the form of csq")
    with_effects = work / "haplotypes.vcf.gz"
    command = csq.command(reference, work.fetch_reference_file(genes), vcf, with_effects)
    reason = failure_of_csq(work, command, with_effects, alleles)
    if not reason:
        return with_effects
    work.warn(
        "NO_HAPLOTYPE_EFFECTS",
        f"bcftools csq failed, so that there is no BCSQ ({reason}): the effects in ANN are those of single variants; "
        "check by hand variants that are in one codon",
    )
    return vcf


def failure_of_csq(work: Workspace, command: Command, vcf: Path, alleles: int) -> str:
    """Run csq; return why its VCF cannot be used, or "". Raise JobError if the genes are not the reason."""
    try:
        work.run(*command)
        found = calling.verify_vcf(work, vcf)
    except JobError as error:
        if error.failure_class != "TOOL_FAILED":
            raise
        return str(error)
    return "" if found == alleles else f"{alleles:,} alleles went in but {found:,} came out"


def annotate(work: Workspace, database: Path, vcf: Path, annotated: Path) -> None:
    """Annotate a VCF with the database of the reference."""
    work.run("tar", "-xf", database, "-C", work.directory)
    summary = companion_path(annotated, ".csv")
    snpeff_ann = snpeff.command("ann", work.memory, work.directory)
    work.processes.pipe(
        None,
        [*snpeff_ann, "-csvStats", summary, snpeff.NAME, vcf],
        ["bgzip", "-c", "-@", work.vcpus],
        stdout=annotated,
    )


def record_version(work: Workspace, annotated: Path) -> None:
    """Record the version of snpEff for the receipt; its VCF has it, and `-version` would start Java once more."""
    header = work.processes.output("bcftools", "view", "-h", annotated)
    match = VERSION.search(header)
    work.tools["snpEff"] = match[1] if match else "unknown"


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


def add_header(work: Workspace, vcf: Path, line: str) -> Path:
    """Write a copy of a VCF with one more line in its header; return its path."""
    header, copy = work / "header.txt", work / "with_header.vcf.gz"
    header.write_text(f"{line}\n")
    work.run("bcftools", "annotate", "-h", header, "-Oz", "-o", copy, vcf)
    return copy


def copy_unannotated(work: Workspace, vcf: Path, annotated: Path) -> None:
    """Copy a VCF with a header line that says that the reference has no genes to annotate with."""
    add_header(work, vcf, "##seqdrop_annotation=none, the reference was prepared without genes").rename(annotated)
    companion_path(annotated, ".csv").write_text("")
    work.warn(
        "NO_GENES",
        f"the variants have no genes and effects: {work.args.reference.parent.name} was prepared without genes",
    )


if __name__ == "__main__":
    main()
