"""containers/bcftools: the expression of the calls that it omits."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from containers.bcftools import run

DEFAULTS = argparse.Namespace(min_quality=None, min_share=None)


def test_the_filter_is_an_expression_of_quality_and_share() -> None:
    reads = "(AD[0:0]+AD[0:1])"
    assert run.exclude_filter(DEFAULTS) == f'QUAL<10.0 || (GT="het" && {reads}>=20 && AD[0:1]<0.2*{reads})'
    options = argparse.Namespace(min_quality=0.0, min_share=0.0)
    assert run.exclude_filter(options) == f'QUAL<0.0 || (GT="het" && {reads}>=20 && AD[0:1]<0.0*{reads})'


CALLS = [
    # quality, genotype, reads of each allele, True if the call is kept
    (50, "0/1", "10,10", True),
    (9, "0/1", "10,10", False),
    (10, "0/1", "10,10", True),
    (50, "0/1", "97,3", False),
    (50, "0/1", "80,20", True),
    (50, "0/1", "18,1", True),
    (50, "1/1", "1,99", True),
    (50, "1", "90,10", True),
]


def test_bcftools_omits_the_calls_that_match_the_filter(tmp_path: Path) -> None:
    header = (
        "##fileformat=VCFv4.2\n##contig=<ID=c,length=1000>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n##FORMAT=<ID=AD,Number=R,Type=Integer,Description="a">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
    )
    lines = [f"c\t{pos}\t.\tA\tC\t{qual}\t.\t.\tGT:AD\t{gt}:{ad}" for pos, (qual, gt, ad, _) in enumerate(CALLS, 1)]
    (tmp_path / "calls.vcf").write_text(header + "\n".join(lines) + "\n")
    view = ["bcftools", "view", "-H", "-e", run.exclude_filter(DEFAULTS), str(tmp_path / "calls.vcf")]
    kept = subprocess.run(view, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = [pos for pos, call in enumerate(CALLS, 1) if call[3]]
    assert [int(line.split("\t")[1]) for line in kept] == expected
