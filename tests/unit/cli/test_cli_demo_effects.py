from __future__ import annotations

import pytest
from seqdrop_cli.demo.effects import Variant, effect, translate
from seqdrop_cli.demo.genome import Gene, Genome, reverse_complement

LEFT = "ATTGCATCAGTTCAGGACTA"
#        M  K  W  A  L  C  K  G
CODING = "ATGAAATGGGCTTTATGTAAAGGACAGCATTAA"
INTRON = "GTAAGT" + "TCTACTTGATCCATTGCAAC" * 2 + "TTGCAG"
TRANSCRIPT = LEFT + CODING[:18] + INTRON + CODING[18:] + LEFT
FORWARD = Gene("F", "c", "+", ((10, 38), (90, 115)), ((20, 38), (90, 105)))
SIZE = len(TRANSCRIPT)
REVERSE = Gene("B", "c", "-", ((10, 35), (87, 115)), ((SIZE - 105, SIZE - 90), (SIZE - 38, SIZE - 20)))


def effect_on_plus(start: int, ref: str, alt: str) -> str:
    genome = Genome({"c": TRANSCRIPT}, (FORWARD,))
    assert TRANSCRIPT[start : start + len(ref)] == ref
    return effect(Variant("c", start, ref, alt), genome)


def effect_on_minus(start: int, ref: str, alt: str) -> str:
    """Return the effect of the same change of the transcript, if the gene is on the other strand."""
    complement = reverse_complement(TRANSCRIPT)
    indel = int(len(ref) != len(alt))  # its anchor base is on the other side of it
    position = SIZE - start - len(ref) - indel
    anchor = complement[position] * indel
    variant = Variant("c", position, anchor + reverse_complement(ref[indel:]), anchor + reverse_complement(alt[indel:]))
    assert complement[position : position + len(variant.ref)] == variant.ref
    return effect(variant, Genome({"c": complement}, (REVERSE,)))


CASES = [
    (25, "A", "G", "synonymous_variant"),  # AAA -> AAG
    (24, "A", "T", "missense_variant"),  # AAA -> ATA
    (28, "G", "A", "stop_gained"),  # TGG -> TGA
    (27, "GG", "G", "frameshift_variant"),
    (25, "A", "AGCC", "conservative_inframe_insertion"),  # between two codons
    (26, "T", "TGCC", "disruptive_inframe_insertion"),  # within TGG
    (25, "ATGG", "A", "conservative_inframe_deletion"),  # TGG itself
    (26, "TGGG", "T", "disruptive_inframe_deletion"),
    (38, "G", "A", "splice_donor_variant"),
    (89, "G", "T", "splice_acceptor_variant"),
    (60, "C", "T", "intron_variant"),
    (42, "G", "A", ""),  # a splice region: more than one name is right
    (5, "A", "G", ""),  # not in a gene
]


def test_both_test_genes_have_the_same_coding_sequence() -> None:
    assert FORWARD.coding_sequence(TRANSCRIPT) == CODING
    assert REVERSE.coding_sequence(reverse_complement(TRANSCRIPT)) == CODING
    assert translate(CODING) == "MKWALCKGQH*"


@pytest.mark.parametrize(("start", "ref", "alt", "expected"), CASES)
def test_an_effect_is_predicted_on_the_forward_strand(start: int, ref: str, alt: str, expected: str) -> None:
    assert effect_on_plus(start, ref, alt) == expected


@pytest.mark.parametrize(("start", "ref", "alt", "expected"), CASES)
def test_the_same_change_has_the_same_effect_on_the_reverse_strand(
    start: int, ref: str, alt: str, expected: str
) -> None:
    assert effect_on_minus(start, ref, alt) == expected
