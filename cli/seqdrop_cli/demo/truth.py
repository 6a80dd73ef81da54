"""Compare the called variants with the planted ones: found, missed, extra, genotypes, effects."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqdrop_cli.demo.genome import Genome
from seqdrop_cli.demo.variants import PlantedVariant

Site = tuple[str, int, str, str]  # contig, 1-based position, ref, alt: normalised


@dataclass(frozen=True, slots=True)
class Call:
    """A called variant."""

    genotype: str  # unphased, "0/1"
    effects: tuple[str, ...]  # the first annotation of snpEff, as Sequence Ontology terms


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between the called and the planted variants."""

    expected: int  # planted variants
    matches: int  # of them, called
    missed: list[Site]
    extra: list[Site]
    wrong_genotypes: list[Site]
    effects_agreed: int
    effects_disagreed: list[tuple[Site, str, str]]  # site, expected and called effect

    @property
    def recall(self) -> float:
        """The share of the planted variants that were found."""
        return self.matches / self.expected if self.expected else 1.0

    @property
    def precision(self) -> float:
        """The share of the calls that were planted."""
        calls = self.matches + len(self.extra)
        return self.matches / calls if calls else 1.0


def compare(planted: Sequence[PlantedVariant], calls: Mapping[Site, Call]) -> Comparison:
    """Compare calls with the planted variants."""
    expected = {site(p): p for p in planted}
    matches = {at: p for at, p in expected.items() if at in calls}
    effects = {at: p.effect for at, p in matches.items() if p.effect}
    disagreed = [
        (at, term, "&".join(calls[at].effects)) for at, term in effects.items() if term not in calls[at].effects
    ]
    return Comparison(
        expected=len(expected),
        matches=len(matches),
        missed=[at for at in expected if at not in calls],
        extra=[at for at in calls if at not in expected],
        wrong_genotypes=[at for at, p in matches.items() if calls[at].genotype != p.genotype],
        effects_agreed=len(effects) - len(disagreed),
        effects_disagreed=disagreed,
    )


def site(planted: PlantedVariant) -> Site:
    """Return the site of a planted variant."""
    variant = planted.variant
    return variant.contig, variant.start + 1, variant.ref, variant.alt


def count_kinds(sites: Sequence[Site]) -> str:
    """Return how many of the sites are SNPs, insertions and deletions, "" without sites: a tool may miss one kind."""
    changes = [len(alt) - len(ref) for _, _, ref, alt in sites]
    counts = {
        "SNPs": changes.count(0),
        "insertions": sum(change > 0 for change in changes),
        "deletions": sum(change < 0 for change in changes),
    }
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) if sites else ""


def read_calls(path: Path) -> dict[Site, Call]:
    """Read the variants of a VCF that pass all filters, plain or bgzipped, with the genotypes of its first sample."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return dict(_calls(line.rstrip("\n").split("\t") for line in file if not line.startswith("#")))


def _calls(rows: Iterator[list[str]]) -> Iterator[tuple[Site, Call]]:
    for contig, position, _, ref, alts, _, filters, info, *sample in rows:
        if filters not in {"PASS", "."}:  # ".": without filters, as in a truth set
            continue
        genotype = sample[1].split(":")[0].replace("|", "/").split("/") if sample else []
        for number, alt in enumerate(alts.split(","), start=1):
            alleles = sorted("1" if allele == str(number) else "0" for allele in genotype)
            yield trimmed(contig, int(position), ref, alt), Call("/".join(alleles), _effects(info, alt))


def trimmed(contig: str, position: int, ref: str, alt: str) -> Site:
    """Return the shortest form of a variant that is left-aligned."""
    while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
        position, ref, alt = position + 1, ref[1:], alt[1:]
    return contig, position, ref, alt


def _effects(info: str, alt: str) -> tuple[str, ...]:
    """Return the most severe effect of an allele, which snpEff lists first: ANN=alt|term&term|impact|gene..."""
    annotations = next((item[4:] for item in info.split(";") if item.startswith("ANN=")), "")
    fields = (annotation.split("|") for annotation in annotations.split(",") if annotation)
    return next((tuple(field[1].split("&")) for field in fields if field[0] == alt), ())


def write_truth(genome: Genome, planted: Sequence[PlantedVariant], sample: str, path: Path) -> None:
    """Write the planted variants as VCF."""
    header = ["##fileformat=VCFv4.2", '##INFO=<ID=EFFECT,Number=1,Type=String,Description="Expected effect">']
    header += [f"##contig=<ID={name},length={len(bases)}>" for name, bases in genome.contigs.items()]
    header += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    header += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", sample])]
    path.write_text("".join(f"{line}\n" for line in [*header, *map(_truth_row, planted)]))


def _truth_row(planted: PlantedVariant) -> str:
    contig, position, ref, alt = site(planted)
    info = f"EFFECT={planted.effect}" if planted.effect else "."
    phased = "|".join(str(int(lies)) for lies in planted.haplotypes)
    return "\t".join([contig, str(position), ".", ref, alt, ".", ".", info, "GT", phased])
