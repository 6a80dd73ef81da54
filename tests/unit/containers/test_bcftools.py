"""containers/bcftools: its commands, and the calls that it marks."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest
from seqdrop.jobs.calling import Inputs, Piece
from seqdrop.jobs.gvcf import Depth

from containers.bcftools import run

DEFAULTS = argparse.Namespace(min_quality=None, min_share=None, min_depth=None)
ALL = argparse.Namespace(min_quality=0.0, min_share=0.0, min_depth=0.0)
DEPTH = Depth(typical=24, bases=100_000)


def test_the_filters_are_expressions_of_quality_share_and_depth() -> None:
    reads, alleles = "SUM(FORMAT/AD)", "FORMAT/AD[0:1-]"
    snp, few = f'TYPE="snp" && GT="het" && {reads}>=20 && MIN({alleles})', f"MAX({alleles})<3 && FORMAT/DP"
    assert run.filters(DEFAULTS, DEPTH) == [
        ("LowQual", "QUAL<10.0"),
        ("LowShare", f"{snp}<0.2*{reads}"),
        ("LowDepth", f"{few}<6.0"),
    ]
    assert run.filters(ALL, DEPTH) == [
        ("LowQual", "QUAL<0.0"),
        ("LowShare", f"{snp}<0.0*{reads}"),
        ("LowDepth", f"{few}<0.0"),
    ]


CALLS = [
    # quality, alleles, genotype, reads of each allele, FILTER
    (50, "A C", "0/1", "10,10", "PASS"),
    (9, "A C", "0/1", "10,10", "LowQual"),
    (10, "A C", "0/1", "10,10", "PASS"),
    (50, "A C", "0/1", "97,3", "LowShare"),
    (9, "A C", "0/1", "97,3", "LowQual;LowShare"),
    (50, "A C", "0/1", "80,20", "PASS"),
    (50, "A C", "0/1", "18,1", "PASS"),
    (50, "A C", "1/1", "1,99", "PASS"),
    (50, "A C", "1", "90,10", "PASS"),
    (50, "A C,G", "1/2", "1,50,49", "PASS"),
    (50, "A C,G", "1/2", "0,3,97", "LowShare"),
    (50, "A C", "1/1", "0,2", "LowDepth"),
    (50, "A C", "1/1", "0,3", "PASS"),
    (50, "A C", "0/1", "3,2", "LowDepth"),
    (50, "A C", "0/1", "4,2", "PASS"),  # six reads are a quarter of the typical depth
    (50, "A ATTT", "1/1", "0,1", "LowDepth"),
    (9, "A C,G", "1/2", "0,2,2", "LowQual;LowDepth"),
    (50, "ACCCCCCCC A", "0/1", "36,7", "PASS"),  # a real deletion: few of its reads are aligned so
    (50, "A ATTT", "0/1", "97,3", "PASS"),
]


@pytest.mark.parametrize("options", [DEFAULTS, ALL], ids=["default", "no minimum"])
def test_bcftools_marks_the_calls_that_match_a_filter_and_keeps_all(
    tmp_path: Path, options: argparse.Namespace
) -> None:
    header = (
        "##fileformat=VCFv4.2\n##contig=<ID=c,length=1000>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n##FORMAT=<ID=AD,Number=R,Type=Integer,Description="a">\n'
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
    )
    lines = []
    for pos, (qual, alleles, gt, ad, _) in enumerate(CALLS, 1):
        ref, alts = alleles.split()
        lines.append(f"c\t{pos}\t.\t{ref}\t{alts}\t{qual}\t.\t.\tGT:AD:DP\t{gt}:{ad}:{sum(map(int, ad.split(',')))}\n")
    text = header + "".join(lines)
    for name, expression in run.filters(options, DEPTH):
        command = ["bcftools", "filter", "-m", "+", "-s", name, "-e", expression, "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    assert "##FILTER=<ID=LowDepth,Description=" in text
    found = [line.split("\t")[6] for line in text.splitlines() if not line.startswith("#")]
    assert found == ([call[4] for call in CALLS] if options is DEFAULTS else ["PASS"] * len(CALLS))


def test_indels_are_called_at_every_depth_that_mpileup_reads() -> None:
    """`mpileup -L` is 250 by default: indels at a greater depth are then omitted without a word."""
    piece = Piece(Path("0.targets.bed"), Path("0.spans.bed"))
    inputs = Inputs(Path("genome.fa"), Path("sorted.bam"), None)
    mpileup, call = run.call_commands(inputs, piece, Path("0.bcf"), ["-q", "20"], ["--ploidy", 1])
    words = list(map(str, mpileup))
    depth, indel_depth = (int(words[words.index(flag) + 1]) for flag in ("-d", "-L"))
    assert indel_depth > depth >= 100_000
    assert words[words.index("-R") + 1 : words.index("-B")] == ["0.spans.bed", "-T", "0.targets.bed", "-q", "20"]
    assert [str(word) for word in call[-8:]] == ["--ploidy", "1", "-a", "GQ", "-Ob", "-o", "0.bcf", "-"]


@pytest.mark.parametrize("typical", [0, 1, 4])
def test_a_genome_with_few_reads_everywhere_has_no_low_depth(typical: int) -> None:
    """Every call has a read; at most one read is asked for."""
    *_, low_depth = run.filters(DEFAULTS, Depth(typical, 100_000))
    assert float(low_depth.expression.rpartition("<")[2]) <= 1
