"""Choose the variants of the demo: some for their effect on a gene, the others anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from seqdrop_cli.demo.effects import Variant, effect
from seqdrop_cli.demo.genome import Genome

# Variants with each effect; the remaining ones of TOTAL are anywhere.
EFFECTS = {
    "missense_variant": 10,
    "synonymous_variant": 8,
    "stop_gained": 4,
    "frameshift_variant": 4,
    "conservative_inframe_deletion": 2,
    "disruptive_inframe_deletion": 2,
    "conservative_inframe_insertion": 2,
    "disruptive_inframe_insertion": 1,
    "splice_donor_variant": 2,
    "splice_acceptor_variant": 2,
    "intron_variant": 5,
}
TOTAL = 120
SPACING = 60  # bases between two variants, so that their calls are independent
MARGIN = 500  # bases at the ends of a contig, where the coverage is low
MAX_TRIES = 200_000


@dataclass(frozen=True, slots=True)
class PlantedVariant:
    """A variant of the sample: which of the two haplotypes have it, and its expected effect."""

    variant: Variant
    haplotypes: tuple[bool, bool]
    effect: str

    @property
    def genotype(self) -> str:
        """The unphased genotype."""
        return "1/1" if all(self.haplotypes) else "0/1"


def plant_variants(genome: Genome, seed: int) -> list[PlantedVariant]:
    """Return variants in the order of the genome. The same seed gives the same variants."""
    random = Random(seed)  # noqa: S311  data, not secrets
    planted: list[PlantedVariant] = []
    for term, count in EFFECTS.items():
        for _ in range(count):
            _plant_one(random, genome, planted, _in_a_gene, lambda effect, term=term: effect == term)  # type: ignore[misc]
    while len(planted) < TOTAL:
        _plant_one(random, genome, planted, _anywhere, lambda effect: not effect)
    order = list(genome.contigs)
    return sorted(planted, key=lambda p: (order.index(p.variant.contig), p.variant.start))


def _plant_one(
    random: Random,
    genome: Genome,
    planted: list[PlantedVariant],
    choose_position: Callable[[Random, Genome], tuple[str, int]],
    fits: Callable[[str], bool],
) -> None:
    for _ in range(MAX_TRIES):
        contig, at = choose_position(random, genome)
        if _is_crowded(contig, at, planted, len(genome.contigs[contig])):
            continue
        variant = _variant(random, genome, contig, at)
        term = effect(variant, genome) if variant else ""
        if variant and fits(term):
            planted.append(PlantedVariant(variant, random.choice([(True, True), (True, False), (False, True)]), term))
            return
    raise RuntimeError("the genome has no space for all variants")


def _in_a_gene(random: Random, genome: Genome) -> tuple[str, int]:
    gene = random.choice(genome.genes)
    return gene.contig, random.randrange(*gene.span)


def _anywhere(random: Random, genome: Genome) -> tuple[str, int]:
    contig = random.choices(list(genome.contigs), [len(bases) for bases in genome.contigs.values()])[0]
    return contig, random.randrange(len(genome.contigs[contig]))


def _is_crowded(contig: str, at: int, planted: list[PlantedVariant], length: int) -> bool:
    near = any(p.variant.contig == contig and abs(p.variant.start - at) < SPACING for p in planted)
    return near or not MARGIN < at < length - MARGIN


def _variant(random: Random, genome: Genome, contig: str, at: int) -> Variant | None:
    """Return a substitution or an indel of one to nine bases; None if the indel has more than one position."""
    bases = genome.contigs[contig]
    anchor = bases[at]
    kind = random.choice(["substitution", "substitution", "insertion", "deletion"])
    if kind == "substitution":
        return Variant(contig, at, anchor, random.choice([base for base in "ACGT" if base != anchor]))
    size = random.choice([1, 2, 3, 3, 4, 6, 9])
    indel = "".join(random.choices("ACGT", k=size)) if kind == "insertion" else bases[at + 1 : at + 1 + size]
    after = bases[at + 1] if kind == "insertion" else bases[at + 1 + size]
    if indel[-1] == anchor or indel[0] == after:  # the same indel could be written one base to either side
        return None
    if kind == "insertion":
        return Variant(contig, at, anchor, anchor + indel)
    return Variant(contig, at, anchor + indel, anchor)
