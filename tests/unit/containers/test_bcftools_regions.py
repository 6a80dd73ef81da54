"""containers/bcftools: how the genome is cut into pieces, and which calls are left out."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_reads import bases, write_genome

from containers.bcftools import run


def fai(folder: Path, *contigs: tuple[str, int]) -> Path:
    path = folder / "genome.fa.fai"
    path.write_text("".join(f"{name}\t{length}\t6\t60\t61\n" for name, length in contigs))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fai")


def test_a_genome_is_cut_into_pieces_of_one_size_in_its_own_order(folder: Path) -> None:
    assert list(run.regions(fai(folder, ("chr2", 250_000), ("chr1", 100_000)), pieces=4)) == [
        ("chr2", 0, 87500),
        ("chr2", 87500, 175000),
        ("chr2", 175000, 250000),
        ("chr1", 0, 87500),
        ("chr1", 87500, 100000),
    ]


def test_small_genomes_are_not_cut_into_crumbs(folder: Path) -> None:
    assert list(run.regions(fai(folder, ("MT007544.1", 29_903)), pieces=64)) == [("MT007544.1", 0, 29903)]


@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=30), st.integers(1, 256))
def test_every_base_is_in_one_piece_and_one_only(folder: Path, lengths: list[int], pieces: int) -> None:
    contigs = [(f"c{place}", length) for place, length in enumerate(lengths)]
    found = list(run.regions(fai(folder, *contigs), pieces))
    expected = []
    for name, length in contigs:
        own = [piece for piece in found if piece[0] == name]
        assert (own[0][1], own[-1][2]) == (0, length)
        assert [start for _, start, _ in own[1:]] == [end for _, _, end in own[:-1]]
        expected += own
    assert found == expected
    assert len(found) <= pieces + len(lengths)


@pytest.mark.parametrize("contig", ["chr1", "NC_045512.2", "HLA-A*01:01:01:01"])
def test_bcftools_reads_the_pieces_of_any_contig(tmp_path: Path, contig: str) -> None:
    """hg38 with its HLA contigs has colons in names; the words are those of the wrapper, `-R` and a piece."""
    genome = write_genome(tmp_path / "genome.fa", {contig: bases(300, seed=1)})
    sam = f"@SQ\tSN:{contig}\tLN:300\nr1\t0\t{contig}\t1\t60\t100M\t*\t0\t0\t{bases(300, seed=1)[:100]}\t{'F' * 100}\n"
    bam = tmp_path / "sorted.bam"
    subprocess.run(["samtools", "view", "-b", "-o", bam, "-"], input=sam.encode(), check=True)
    subprocess.run(["samtools", "index", bam], check=True)
    subprocess.run(["samtools", "faidx", genome], check=True)
    (piece,) = run.regions(tmp_path / "genome.fa.fai", pieces=4)
    bed = tmp_path / "0.bed"
    bed.write_text("{}\t{}\t{}\n".format(*piece))
    pile = ["bcftools", "mpileup", "-f", genome, "-R", bed, bam]
    done = subprocess.run(pile, capture_output=True, text=True, check=False)
    records = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert (done.returncode, len(records)) == (0, 100)


CHOSEN = {"min_mq": None, "min_bq": None, "min_quality": None, "min_share": None}


def test_least_qualities_are_given_only_when_chosen() -> None:
    assert run.quality(argparse.Namespace(**CHOSEN)) == []
    assert run.quality(argparse.Namespace(**{**CHOSEN, "min_mq": 0, "min_bq": 20})) == ["-q", 0, "-Q", 20]


def test_noise_is_an_expression_of_quality_and_share() -> None:
    reads = "(AD[0:0]+AD[0:1])"
    assert run.noise(argparse.Namespace(**CHOSEN)) == (f'QUAL<10.0 || (GT="het" && {reads}>=20 && AD[0:1]<0.2*{reads})')
    chosen = argparse.Namespace(**{**CHOSEN, "min_quality": 0.0, "min_share": 0.0})
    assert run.noise(chosen) == f'QUAL<0.0 || (GT="het" && {reads}>=20 && AD[0:1]<0.0*{reads})'


CALLS = [
    # quality, genotype, reads of each allele: kept
    (50, "0/1", "10,10", True),
    (9, "0/1", "10,10", False),
    (10, "0/1", "10,10", True),
    (50, "0/1", "97,3", False),
    (50, "0/1", "80,20", True),
    (50, "0/1", "18,1", True),
    (50, "1/1", "1,99", True),
    (50, "1", "90,10", True),
]


def test_bcftools_leaves_out_what_the_expression_says(tmp_path: Path) -> None:
    header = (
        "##fileformat=VCFv4.2\n##contig=<ID=c,length=1000>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n##FORMAT=<ID=AD,Number=R,Type=Integer,Description="a">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
    )
    lines = [f"c\t{pos}\t.\tA\tC\t{qual}\t.\t.\tGT:AD\t{gt}:{ad}" for pos, (qual, gt, ad, _) in enumerate(CALLS, 1)]
    (tmp_path / "calls.vcf").write_text(header + "\n".join(lines) + "\n")
    words = ["bcftools", "view", "-H", "-e", run.noise(argparse.Namespace(**CHOSEN)), tmp_path / "calls.vcf"]
    kept = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = [pos for pos, call in enumerate(CALLS, 1) if call[3]]
    assert [int(line.split("\t")[1]) for line in kept] == expected
