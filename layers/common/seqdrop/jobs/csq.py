"""Build the command of `bcftools csq`, which finds the effects of haplotypes, with the genes of a reference."""

from __future__ import annotations

from pathlib import Path

from seqdrop.jobs.processes import Command

MAX_AMINO_ACIDS = 20  # of a changed protein in BCSQ: a frame shift changes all to its end
GENES = ".csq.gff3.gz"  # companion of the genome: its coding sequences in the form that csq reads


def command(reference: Path, genes: Path, vcf: Path, target: Path) -> Command:
    """Return the command that adds BCSQ to the calls with PASS of a VCF; the other records stay as they are.

    -p a: alleles of heterozygous calls are taken for one haplotype, since the callers do not phase.
    """
    return ["bcftools", "csq", "-p", "a", "-B", MAX_AMINO_ACIDS, "-i", 'FILTER="PASS"', "-f", reference, "-g", genes,
            "-Oz", "-o", target, vcf]  # fmt: skip
