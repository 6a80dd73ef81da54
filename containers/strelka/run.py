"""Call germline variants with Strelka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seqdrop.failure.verdict import UsageError
from seqdrop.jobs import arguments, calling, regions
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.bed import Interval

from containers.strelka import workflow

# Copy numbers, as Strelka's option --ploidy takes them; a record is for the bases after POS to END.
PLOIDY_HEADER = """##fileformat=VCFv4.1
##INFO=<ID=END,Number=1,Type=Integer,Description="Last base">
##FORMAT=<ID=CN,Number=1,Type=Integer,Description="Copy number">
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Call the variants of a run."""
    # --sample --reference --intervals --bam --parts in, --vcf --gvcf out
    args = calling.parse_arguments(argv, __doc__)
    with step("call", args) as work:
        if args.parts != 1:
            raise UsageError("Strelka calls a genome in one job only: its calls depend on all reads that it is given")
        options = arguments.parse_options(args.args, "strelka")
        inputs = calling.fetch_inputs(work)
        work.version("configureStrelkaGermlineWorkflow.py")
        exome: Command = ["--exome"] if options.exome else []
        ploidy: Command = []
        if haploid := regions.fetch_haploid(work, inputs.reference):
            lengths = regions.contig_lengths(inputs.reference)
            ploidy = ["--ploidy", write_ploidy(work, haploid, lengths, args.sample)]
        targets: Command = []
        if inputs.targets:
            work.run("bgzip", inputs.targets)
            work.run("tabix", "-p", "bed", f"{inputs.targets}.gz")
            targets = ["--callRegions", f"{inputs.targets}.gz"]
        run_dir = work / "strelka"  # it can be neither moved nor configured twice
        workflow.configure(work, "--bam", inputs.bam, "--referenceFasta", inputs.reference,
                           *exome, *targets, *ploidy, "--runDir", run_dir)  # fmt: skip
        workflow.run(work, run_dir)
        variants = run_dir / "results/variants"
        calling.verify_vcf(work, variants / "variants.vcf.gz")
        calls: Command = ["bcftools", "view", "-Ou", variants / "variants.vcf.gz"]
        statistics = workflow.find_statistics(run_dir)
        calling.normalise_and_publish(work, inputs, calls, variants / "genome.S1.vcf.gz", statistics=statistics)


def write_ploidy(work: Workspace, haploid: Sequence[Interval], lengths: Mapping[str, int], sample: str) -> Path:
    """Write a VCF of the haploid parts of the genome; return its path. All other parts are diploid for Strelka.

    POS is at least 1, as tabix needs it: the first base of a contig stays diploid.
    """
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", sample]
    contigs = [f"##contig=<ID={name},length={length}>\n" for name, length in lengths.items()]
    records = [f"{name}\t{max(1, start)}\t.\tN\t<CNV>\t.\tPASS\tEND={end}\tCN\t1\n" for name, start, end in haploid]
    vcf = work / "ploidy.vcf"
    vcf.write_text("".join([PLOIDY_HEADER, *contigs, "\t".join(columns) + "\n", *records]))
    work.run("bgzip", vcf)
    work.run("tabix", "-p", "vcf", f"{vcf}.gz")
    return Path(f"{vcf}.gz")


if __name__ == "__main__":
    main()
