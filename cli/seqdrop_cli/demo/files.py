"""Simulate the files of the demo: a genome, its genes, and the reads of a sample with known variants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqdrop_cli.demo import genome, reads, truth, variants
from seqdrop_cli.demo.variants import PlantedVariant
from seqdrop_cli.screen import say

SEED = 20
SAMPLE = "DEMO"
REFERENCE = "demo"


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The simulated files, and the variants that the reads have."""

    fasta: Path
    genes: Path
    fastqs: tuple[Path, Path]
    variants: list[PlantedVariant]


def make_files(folder: Path, seed: int) -> DemoFiles:
    """Write genome, genes, truth and reads. The same seed gives the same bytes."""
    name = REFERENCE if seed == SEED else f"{REFERENCE}-{seed}"  # a reference keeps its genome
    simulated = genome.make_genome(seed)
    planted = variants.plant_variants(simulated, seed)
    fastqs = (folder / f"{SAMPLE}_R1.fastq.gz", folder / f"{SAMPLE}_R2.fastq.gz")
    files = DemoFiles(folder / f"{name}.fa", folder / f"{name}.gtf", fastqs, planted)
    genome.write_fasta(simulated, files.fasta)
    genome.write_gtf(simulated, files.genes)
    truth.write_truth(simulated, planted, SAMPLE, folder / "truth.vcf")
    pairs = reads.simulate(simulated, planted, seed, *fastqs)
    bases = sum(map(len, simulated.contigs.values()))
    genes = len(simulated.genes)
    say(f"Simulated {bases:,} bases, {genes} genes, {len(planted)} variants and {pairs:,} read pairs")
    return files
