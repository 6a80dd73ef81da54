"""Choose the variants of the demo's sample: many anywhere, some in genes for what they do there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from seqdrop_cli.demo.effects import Variant, effect
from seqdrop_cli.demo.genome import Genome

# How many of each are wanted; the rest of TOTAL falls anywhere.
WANTED = {
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
SPACING = 60  # bases between two variants: calls must not disturb each other
MARGIN = 500  # bases at a contig's ends where coverage fades
TRIES = 200_000


@dataclass(frozen=True, slots=True)
class Planted:
    """A variant, on which of the two haplotypes it lies, and what it should be called."""

    variant: Variant
    haplotypes: tuple[bool, bool]
    effect: str

    @property
    def genotype(self) -> str:
        return "1/1" if all(self.haplotypes) else "0/1"


def plant(genome: Genome, seed: int) -> list[Planted]:
    """In the order of the genome. The same seed gives the same variants."""
    random = Random(seed)  # noqa: S311  data, not secrets
    planted: list[Planted] = []
    for term, count in WANTED.items():
        for _ in range(count):
            _plant_one(random, genome, planted, _in_a_gene, lambda found, term=term: found == term)  # type: ignore[misc]
    while len(planted) < TOTAL:
        _plant_one(random, genome, planted, _anywhere, lambda found: not found)
    order = list(genome.contigs)
    return sorted(planted, key=lambda p: (order.index(p.variant.contig), p.variant.start))


def _plant_one(
    random: Random,
    genome: Genome,
    planted: list[Planted],
    place: Callable[[Random, Genome], tuple[str, int]],
    fits: Callable[[str], bool],
) -> None:
    for _ in range(TRIES):
        contig, at = place(random, genome)
        if _crowded(contig, at, planted, len(genome.contigs[contig])):
            continue
        variant = _variant(random, genome, contig, at)
        found = effect(variant, genome) if variant else ""
        if variant and fits(found):
            planted.append(Planted(variant, random.choice([(True, True), (True, False), (False, True)]), found))
            return
    raise RuntimeError("the genome has no room for the variants wanted")


def _in_a_gene(random: Random, genome: Genome) -> tuple[str, int]:
    gene = random.choice(genome.genes)
    return gene.contig, random.randrange(*gene.span)


def _anywhere(random: Random, genome: Genome) -> tuple[str, int]:
    contig = random.choices(list(genome.contigs), [len(bases) for bases in genome.contigs.values()])[0]
    return contig, random.randrange(len(genome.contigs[contig]))


def _crowded(contig: str, at: int, planted: list[Planted], length: int) -> bool:
    near = any(p.variant.contig == contig and abs(p.variant.start - at) < SPACING for p in planted)
    return near or not MARGIN < at < length - MARGIN


def _variant(random: Random, genome: Genome, contig: str, at: int) -> Variant | None:
    """A substitution, or an insertion or deletion of one to nine bases; None where an indel could slide."""
    bases = genome.contigs[contig]
    here = bases[at]
    kind = random.choice(["substitution", "substitution", "insertion", "deletion"])
    if kind == "substitution":
        return Variant(contig, at, here, random.choice([base for base in "ACGT" if base != here]))
    size = random.choice([1, 2, 3, 3, 4, 6, 9])
    moved = "".join(random.choices("ACGT", k=size)) if kind == "insertion" else bases[at + 1 : at + 1 + size]
    after = bases[at + 1] if kind == "insertion" else bases[at + 1 + size]
    if moved[-1] == here or moved[0] == after:  # could also be written one base to either side
        return None
    return Variant(contig, at, here, here + moved) if kind == "insertion" else Variant(contig, at, here + moved, here)
