"""Predict the effect of a variant on the protein by translation, independently of any annotator."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from seqdrop_cli.demo.genome import Gene, Genome, reverse_complement

AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODE = dict(zip(("".join(codon) for codon in product("TCAG", repeat=3)), AMINO_ACIDS, strict=True))
SPLICE_MARGIN = 8  # bases on each side of an exon's end that annotators call a splice region


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant as in VCF, but with a 0-based start: left-aligned, one allele, an indel with one anchor base."""

    contig: str
    start: int
    ref: str
    alt: str

    @property
    def changed(self) -> tuple[int, int]:
        """The span of the replaced reference bases; for an insertion, the empty span between two bases."""
        anchor = 0 if len(self.ref) == len(self.alt) == 1 else 1
        return self.start + anchor, self.start + len(self.ref)


def translate(coding: str) -> str:
    """Return the amino acids of a coding sequence, `*` for a stop codon."""
    return "".join(CODE[coding[at : at + 3]] for at in range(0, len(coding) - len(coding) % 3, 3))


def effect(variant: Variant, genome: Genome) -> str:
    """Return the expected Sequence Ontology term; "" where more than one term is correct."""
    start, end = variant.changed
    gene = genome.gene_at(variant.contig, start - SPLICE_MARGIN, end + SPLICE_MARGIN)
    if gene is None:
        return ""
    for left, right in gene.introns:
        if end <= left - SPLICE_MARGIN or start >= right + SPLICE_MARGIN:
            continue
        return _intron_effect(start, end, left, right, gene.strand)
    if any(left + 3 < start and end < right - 3 for left, right in gene.cds):
        return _coding_effect(variant, gene, genome.contigs[variant.contig])
    return ""


def _intron_effect(start: int, end: int, left: int, right: int, strand: str) -> str:
    if left + SPLICE_MARGIN < start and end < right - SPLICE_MARGIN:
        return "intron_variant"
    if end != start + 1:
        return ""
    if start in (left, left + 1):
        return "splice_donor_variant" if strand == "+" else "splice_acceptor_variant"
    if start in (right - 2, right - 1):
        return "splice_acceptor_variant" if strand == "+" else "splice_donor_variant"
    return ""


def _coding_effect(variant: Variant, gene: Gene, contig: str) -> str:
    before = gene.coding_sequence(contig)
    growth = len(variant.alt) - len(variant.ref)
    start, end = variant.changed
    offset = _coding_offset(gene, start if gene.strand == "+" else end - 1)
    if growth % 3:
        return "frameshift_variant"
    if growth:
        return _in_frame_effect(growth, offset)
    base = variant.alt if gene.strand == "+" else reverse_complement(variant.alt)
    after = before[:offset] + base + before[offset + 1 :]
    return _substitution_effect(translate(before), translate(after), offset // 3)


def _coding_offset(gene: Gene, position: int) -> int:
    """Return the offset of a base in the coding sequence, in reading direction."""
    if gene.strand == "+":
        return sum(max(0, min(end, position) - start) for start, end in gene.cds)
    return sum(max(0, end - max(start, position + 1)) for start, end in gene.cds)


def _in_frame_effect(growth: int, offset: int) -> str:
    """Return the term of an in-frame indel: conservative between two codons, disruptive within one."""
    kind = "disruptive" if offset % 3 else "conservative"
    return f"{kind}_inframe_{'insertion' if growth > 0 else 'deletion'}"


def _substitution_effect(before: str, after: str, codon: int) -> str:
    old, new = before[codon], after[codon]
    if old == new:
        return "stop_retained_variant" if old == "*" else "synonymous_variant"
    if codon == 0:
        return "start_lost"
    if old == "*":
        return "stop_lost"
    return "stop_gained" if new == "*" else "missense_variant"
