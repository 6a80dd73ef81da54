from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from seqdrop_cli.demo import variants
from seqdrop_cli.demo.effects import translate
from seqdrop_cli.demo.genome import Gene, make_genome, reverse_complement, write_fasta, write_gtf

GENOME = make_genome(1)


def in_reading_direction(gene: Gene, start: int, end: int) -> str:
    bases = GENOME.contigs[gene.contig][start:end]
    return bases if gene.strand == "+" else reverse_complement(bases)


@pytest.mark.parametrize("gene", GENOME.genes, ids=lambda gene: gene.name)
def test_every_gene_is_an_open_reading_frame(gene: Gene) -> None:
    protein = translate(gene.coding_sequence(GENOME.contigs[gene.contig]))
    assert re.fullmatch(r"M[^*]+\*", protein)


@pytest.mark.parametrize("gene", GENOME.genes, ids=lambda gene: gene.name)
def test_every_intron_begins_with_gt_and_ends_with_ag(gene: Gene) -> None:
    for start, end in gene.introns:
        assert re.fullmatch("GT.*AG", in_reading_direction(gene, start, end))


def test_genes_are_on_both_strands_and_have_one_exon_or_several() -> None:
    assert {gene.strand for gene in GENOME.genes} == {"+", "-"}
    assert {len(gene.exons) == 1 for gene in GENOME.genes} == {True, False}


def test_genes_do_not_overlap() -> None:
    spans = sorted((gene.contig, *gene.span) for gene in GENOME.genes)
    for (contig, _, end), (next_contig, start, _) in pairwise(spans):
        assert contig != next_contig or end < start


def test_the_same_seed_gives_the_same_genome_and_another_seed_another() -> None:
    assert make_genome(1) == GENOME
    assert make_genome(2) != GENOME


def test_the_fasta_has_every_base(tmp_path: Path) -> None:
    write_fasta(GENOME, tmp_path / "g.fa")
    records = (tmp_path / "g.fa").read_text().split(">")[1:]
    assert {name: body.replace("\n", "") for name, body in (r.split("\n", 1) for r in records)} == GENOME.contigs


def test_frames_in_the_gtf_are_the_bases_before_the_next_codon(tmp_path: Path) -> None:
    write_gtf(GENOME, tmp_path / "g.gtf")
    rows = [line.split("\t") for line in (tmp_path / "g.gtf").read_text().splitlines()]
    for gene in GENOME.genes:
        parts = [row for row in rows if row[2] == "CDS" and f'"{gene.name}"' in row[8]]
        assert parts[0][7] == "0"
        read = 0
        for row in parts:
            assert (read + int(row[7])) % 3 == 0
            read += int(row[4]) - int(row[3]) + 1


def test_each_effect_has_its_number_of_variants_and_their_distance_is_kept() -> None:
    planted = variants.plant_variants(GENOME, 1)
    assert len(planted) == variants.TOTAL
    assert {term: sum(p.effect == term for p in planted) for term in variants.EFFECTS} == variants.EFFECTS
    for left, right in pairwise(planted):
        same = left.variant.contig == right.variant.contig
        assert not same or right.variant.start - left.variant.start >= variants.SPACING


def test_planted_variants_agree_with_the_genome_and_have_one_position_only() -> None:
    for variant in (p.variant for p in variants.plant_variants(GENOME, 1)):
        bases = GENOME.contigs[variant.contig]
        end = variant.start + len(variant.ref)
        assert bases[variant.start : end] == variant.ref
        if len(variant.ref) != len(variant.alt):
            indel = max(variant.ref, variant.alt, key=len)[1:]
            assert indel[-1] != bases[variant.start]
            assert indel[0] != bases[end]
