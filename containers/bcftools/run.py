"""Call variants with bcftools: mpileup and call over regions on all cores, merged in order, then normalised."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from seqdrop.jobs import arguments, calling
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step

REGIONS_PER_CORE = 4  # smaller pieces than cores, so that no core waits long for the slowest
SMALLEST = 50_000  # bases: below that the start of a program costs more than it gains
DEPTH = 1000  # reads looked at for a position; deeper changes no genotype
MIN_QUALITY = 10.0  # Phred; bcftools itself has no least quality
# A heterozygous allele has half of the reads: among enough of them, one with less than this share is not germline.
MIN_SHARE, ENOUGH_READS = 0.2, 20

# What a run may choose: copies of the genome; least Phred of a read's place, of a base, of a call; least share.
CHOICES = {
    "ploidy": arguments.integer(1, 12),
    "min_mq": arguments.integer(0, 254),
    "min_bq": arguments.integer(0, 93),
    "min_quality": arguments.number(0, 10_000),
    "min_share": arguments.number(0, 1),
}


def main(argv: Sequence[str] | None = None) -> None:
    args = calling.parse_arguments(argv, __doc__)  # --sample --reference --intervals --bam in, --vcf out
    with step("call", args) as work:
        chosen = arguments.parse_options(args.args, **CHOICES)
        reference = work.fetch_reference(".fai")
        bam = work.fetch(args.bam, ".bai", name="sorted.bam")
        targets: Command = ["-T", calling.fetch_intervals(work, reference)] if args.intervals else []
        places = list(regions(Path(f"{reference}.fai"), work.vcpus * REGIONS_PER_CORE))
        pile = [
            "bcftools",
            "mpileup",
            "-f",
            reference,
            *targets,
            *quality(chosen),
            "-d",
            DEPTH,
            "-a",
            "AD,DP",
            "-Ou",
            bam,
        ]
        ploidy: Command = ["--ploidy", chosen.ploidy] if chosen.ploidy else []

        def call_region(number: int) -> Path:
            part, bed = work / f"{number}.bcf", work / f"{number}.bed"
            # As a file: in a region's name bcftools takes the first colon, which HLA contigs have, for its end.
            bed.write_text("{}\t{}\t{}\n".format(*places[number]))
            genotype: Command = ["bcftools", "call", "-m", "-v", *ploidy, "-Ob", "-o", part, "-"]
            work.processes.pipe(None, [*pile, "-R", bed], genotype)
            return part

        parts = work.processes.run_parallel(call_region, range(len(places)), work.vcpus)
        listed = work / "parts.txt"
        listed.write_text("".join(f"{part}\n" for part in parts))
        vcf = work / "calls.vcf.gz"
        merge: Command = ["bcftools", "concat", "--file-list", listed, "-Ou"]
        # one record an allele, left-aligned: the form in which calls can be compared
        normalise: Command = ["bcftools", "norm", "-f", reference, "-m", "-any", "-Ou", "-"]
        keep: Command = ["bcftools", "view", "-e", noise(chosen), "-Oz", "-o", vcf, "-"]
        work.processes.pipe(None, merge, normalise, keep)
        calling.publish(work, vcf)


def regions(fai: Path, pieces: int) -> Iterator[tuple[str, int, int]]:
    """The genome cut into pieces of about one size, in its own order: contig, start and end as BED counts."""
    contigs = [(name, int(length)) for name, length, *_ in map(str.split, fai.read_text().splitlines())]
    size = max(SMALLEST, -(-sum(length for _, length in contigs) // pieces))
    for name, length in contigs:
        for start in range(0, length, size):
            yield name, start, min(start + size, length)


def quality(chosen: argparse.Namespace) -> Command:
    """The least mapping and base quality of a read that counts; bcftools' own unless chosen."""
    wanted = (("-q", chosen.min_mq), ("-Q", chosen.min_bq))
    return [word for flag, value in wanted if value is not None for word in (flag, value)]


def noise(chosen: argparse.Namespace) -> str:
    """The bcftools expression of calls that are left out."""
    quality = MIN_QUALITY if chosen.min_quality is None else chosen.min_quality
    share = MIN_SHARE if chosen.min_share is None else chosen.min_share
    reads = "(AD[0:0]+AD[0:1])"
    return f'QUAL<{quality} || (GT="het" && {reads}>={ENOUGH_READS} && AD[0:1]<{share}*{reads})'


if __name__ == "__main__":
    main()
