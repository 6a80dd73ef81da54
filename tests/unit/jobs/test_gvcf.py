"""seqdrop.jobs.gvcf: the depth of a gVCF; with the real bcftools."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from seqdrop.jobs.gvcf import Depth, measure_depth
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace

HEADER = """##fileformat=VCFv4.2
##contig=<ID=c,length=100000>
##INFO=<ID=END,Number=1,Type=Integer,Description="e">
##FORMAT=<ID=GT,Number=1,Type=String,Description="g">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	S
"""


@pytest.mark.parametrize(
    ("blocks", "depth"),
    [
        ([], Depth(0, 0)),
        ([(1, 100, "0")], Depth(0, 0)),
        ([(1, 10, "3"), (11, 30, "20"), (31, 31, "25")], Depth(20, 31)),
        ([(1, 10, "3"), (11, 20, "20")], Depth(3, 20)),
        ([(1, 90, "0"), (91, 93, "7"), (94, 94, ".")], Depth(7, 3)),
    ],
)
def test_the_typical_depth_is_the_median_of_the_bases_that_have_reads(
    tmp_path: Path, blocks: list[tuple[int, int, str]], depth: Depth
) -> None:
    lines = [f"c\t{start}\t.\tA\t.\t.\t.\tEND={end}\tGT:DP\t0/0:{reads}\n" for start, end, reads in blocks]
    (tmp_path / "g.vcf").write_text(HEADER + "".join(lines))
    work = Workspace("call", argparse.Namespace(), tmp_path, Processes(tmp_path))
    assert measure_depth(work, tmp_path / "g.vcf") == depth
