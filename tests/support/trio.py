"""Simulate a family of three on the genome of the demo: the child inherits one haplotype of each contig of a parent."""

from __future__ import annotations

from pathlib import Path
from random import Random

from seqdrop_cli.demo import reads
from seqdrop_cli.demo.genome import Genome, make_genome
from seqdrop_cli.demo.variants import SPACING, TOTAL, PlantedVariant, plant_variants

HAPLOTYPES = [(True, True), (True, False), (False, True)]
SHARED = 0.4  # of the variants of the father, the mother has too
Family = dict[str, list[PlantedVariant]]  # sample -> its variants, in the order of the genome


def make_family(genome: Genome, seed: int) -> Family:
    """Return the variants of father, mother and child: 120 of each parent, from three seeds."""
    random = Random(seed)  # noqa: S311  data, not secrets
    father = plant_variants(genome, seed + 1)
    shared = [PlantedVariant(one.variant, random.choice(HAPLOTYPES), one.effect) for one in father
              if random.random() < SHARED]  # fmt: skip
    own = [one for one in plant_variants(genome, seed + 2) if not is_near(one, father)]
    mother = in_order(genome, [*shared, *own[: TOTAL - len(shared)]])
    return {"FATHER": father, "MOTHER": mother, "CHILD": child_of(genome, random, father, mother)}


def is_near(one: PlantedVariant, others: list[PlantedVariant]) -> bool:
    """Return whether a variant is at that of another list, or so near that one changes how the other is called."""
    places = [(other.variant.contig, other.variant.start) for other in others]
    return any(contig == one.variant.contig and abs(start - one.variant.start) < SPACING for contig, start in places)


def child_of(genome: Genome, random: Random, *parents: list[PlantedVariant]) -> list[PlantedVariant]:
    """Return the variants of a child that gets one haplotype of each contig from each parent."""
    inherited: dict[PlantedVariant, list[bool]] = {}
    by_variant = {one.variant: one for parent in parents for one in parent}
    for copy, parent in enumerate(parents):
        passed = {contig: random.randrange(2) for contig in genome.contigs}
        for one in parent:
            if one.haplotypes[passed[one.variant.contig]]:
                inherited.setdefault(by_variant[one.variant], [False, False])[copy] = True
    child = [PlantedVariant(one.variant, (has[0], has[1]), one.effect) for one, has in inherited.items()]
    return in_order(genome, child)


def in_order(genome: Genome, planted: list[PlantedVariant]) -> list[PlantedVariant]:
    order = list(genome.contigs)
    return sorted(planted, key=lambda one: (order.index(one.variant.contig), one.variant.start))


def write_reads(folder: Path, genome_seed: int, seed: int) -> tuple[Family, dict[str, tuple[Path, Path]]]:
    """Return the family and the FASTQs of each of its members, with a depth of 30."""
    genome = make_genome(genome_seed)
    family, files = make_family(genome, seed), {}
    for number, (name, planted) in enumerate(family.items()):
        files[name] = (folder / f"{name}_R1.fastq.gz", folder / f"{name}_R2.fastq.gz")
        reads.simulate(genome, planted, seed + 10 + number, *files[name])
    return family, files
