"""Call variants with bcftools: mpileup and call for every region, on all cores."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seqdrop.jobs import arguments, calling
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step

MAX_DEPTH = 1000  # reads at a position: more do not change a genotype
MIN_QUALITY = 10.0  # Phred; bcftools itself has no minimum
# A heterozygous allele is in about half of the reads. If it is in less than this share of enough reads, it is an
# error or somatic.
MIN_SHARE, ENOUGH_READS = 0.2, 20

# Options of a run. The minima are Phred: mapping quality, base quality, quality of a call. The share is of reads.
OPTIONS = {
    "ploidy": arguments.integer(1, 12),
    "min_mq": arguments.integer(0, 254),
    "min_bq": arguments.integer(0, 93),
    "min_quality": arguments.number(0, 10_000),
    "min_share": arguments.number(0, 1),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Call the variants of a run."""
    args = calling.parse_arguments(argv, __doc__)  # --sample --reference --intervals --bam in, --vcf out
    with step("call", args) as work:
        options = arguments.parse_options(args.args, **OPTIONS)
        inputs = calling.fetch_inputs(work)
        targets: Command = ["-T", inputs.targets] if inputs.targets else []
        quality = arguments.tool_options(options, min_mq="-q", min_bq="-Q")
        ploidy = arguments.tool_options(options, ploidy="--ploidy")

        def call(region: calling.Region) -> Path:
            part = region.bed.with_suffix(".bcf")
            work.processes.pipe(
                None,
                ["bcftools", "mpileup", "-f", inputs.reference, "-R", region.bed, *targets, *quality,
                 "-d", MAX_DEPTH, "-a", "AD,DP", "-Ou", inputs.bam],
                ["bcftools", "call", "-m", "-v", *ploidy, "-Ob", "-o", part, "-"],
            )  # fmt: skip
            return part

        calling.call_and_publish(work, inputs, call, exclude=exclude_filter(options))


def exclude_filter(options: argparse.Namespace) -> str:
    """Return the bcftools expression of the calls to omit."""
    quality = MIN_QUALITY if options.min_quality is None else options.min_quality
    share = MIN_SHARE if options.min_share is None else options.min_share
    reads = "(AD[0:0]+AD[0:1])"
    return f'QUAL<{quality} || (GT="het" && {reads}>={ENOUGH_READS} && AD[0:1]<{share}*{reads})'


if __name__ == "__main__":
    main()
