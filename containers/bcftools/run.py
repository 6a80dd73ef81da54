"""Call variants with bcftools: mpileup and call for every piece of the genome, on all cores."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from seqdrop.jobs import arguments, calling, regions, scatter
from seqdrop.jobs.calling import Filter
from seqdrop.jobs.gvcf import MIN_ALLELE_READS, Depth
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import steps
from seqdrop.plan.bed import Interval
from seqdrop.plan.names import DIPLOID

# Reads at a position, to limit memory. mpileup ignores further reads that begin there: with a limit below the depth of
# amplicons, those of the second of two overlapping amplicons, and the variants that only they show.
MAX_DEPTH = 100_000
# mpileup finds no indels where the depth is this or more, without a word. The depth can exceed MAX_DEPTH a little.
MAX_INDEL_DEPTH = 2 * MAX_DEPTH
BANDS = "1,10,20"  # of the depth of the records without variants in the gVCF: bases without reads are in no record
MIN_QUALITY = 10.0  # Phred; bcftools itself has no minimum
# A heterozygous allele is in about half of the reads. A base that is in less than this share of enough reads is an
# error or somatic. Not for indels: fewer of the reads that have one are aligned so.
MIN_SHARE, ENOUGH_READS = 0.2, 20


def main(argv: Sequence[str] | None = None) -> None:
    """Call the variants of a run."""
    # --sample --reference --intervals --bam --parts in, --vcf --gvcf out
    args = calling.parse_arguments(argv, __doc__)
    with step(args=args, **scatter.step_options()) as work:
        options = arguments.parse_options(args.args, "bcftools")
        inputs = calling.fetch_inputs(work)
        haploid = regions.fetch_haploid(work, inputs.reference)
        ploidy = ["--ploidy", options.ploidy] if options.ploidy else write_ploidy(work, haploid)
        quality = arguments.tool_options(options, min_mq="-q", min_bq="-Q")

        def call(piece: regions.Piece) -> Path:
            part = piece.targets.with_suffix(".bcf")
            work.processes.pipe(None, *call_commands(inputs, piece, part, quality, ploidy))
            return part

        calling.call_and_publish(work, inputs, call, partial(filters, options))


def call_commands(
    inputs: calling.Inputs, piece: regions.Piece, part: Path, quality: Sequence[str], ploidy: Command
) -> tuple[Command, Command]:
    """Return the commands that call the variants of one piece.

    -B: without base alignment qualities, which cost more true SNPs than they avoid false ones (docs/tools.md).
    """
    return (
        ["bcftools", "mpileup", "-f", inputs.reference, "-R", piece.spans, "-T", piece.targets, *quality,
         "-B", "-d", MAX_DEPTH, "-L", MAX_INDEL_DEPTH, "-g", BANDS, "-a", "FORMAT/AD,FORMAT/DP", "-Ou",
         inputs.bam],
        ["bcftools", "call", "-m", "-g", BANDS, *ploidy, "-a", "GQ", "-Ob", "-o", part, "-"],
    )  # fmt: skip


def write_ploidy(work: Workspace, haploid: Sequence[Interval]) -> Command:
    """Write the haploid parts of the genome as bcftools reads them; return its option. All other parts are diploid.

    The fourth column is a sex: bcftools takes that of the file for a sample without one.
    """
    path = work / "ploidy.txt"
    parts = [f"{contig}\t{start + 1}\t{end}\tF\t1\n" for contig, start, end in haploid]
    path.write_text("".join([*parts, f"*\t*\t*\tF\t{DIPLOID}\n"]))
    return ["--ploidy-file", path]


def filters(options: argparse.Namespace, depth: Depth) -> list[Filter]:
    """Return the soft filters: LowQual and LowDepth for all calls, LowShare for heterozygous SNPs."""
    quality = MIN_QUALITY if options.min_quality is None else options.min_quality
    share = MIN_SHARE if options.min_share is None else options.min_share
    least = depth.typical * (steps.MIN_DEPTH if options.min_depth is None else options.min_depth)
    reads = "SUM(FORMAT/AD)"
    alleles = "FORMAT/AD[0:1-]"  # the alternate ones; a genotype has two or one
    low_share = f'TYPE="snp" && GT="het" && {reads}>={ENOUGH_READS} && MIN({alleles})<{share}*{reads}'
    low_depth = f"MAX({alleles})<{MIN_ALLELE_READS} && FORMAT/DP<{least}"
    return [Filter("LowQual", f"QUAL<{quality}"), Filter("LowShare", low_share), Filter("LowDepth", low_depth)]


if __name__ == "__main__":
    main()
