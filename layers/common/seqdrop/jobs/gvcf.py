"""Measure the depth of a run from its gVCF, and say which depth is low."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from seqdrop.jobs.workspace import Workspace

# An allele in fewer reads than this, where the depth is less than a share of the typical depth of the run (MIN_DEPTH of
# plan/steps.py): most reads of the place are aligned elsewhere, or as an indel. Not the number of reads alone: at a
# depth of 7, an eighth of the true calls have two reads.
MIN_ALLELE_READS = 3


class Depth(NamedTuple):
    """The depth of the bases that have reads, where calls were made."""

    typical: int  # half of the bases have at least so many reads; 0 without reads
    bases: int  # that have reads


def measure_depth(work: Workspace, gvcf: Path) -> Depth:
    """Return the depth of a gVCF; a base in a block counts with that of the block, with bcftools its lowest."""
    columns = work / "depths.tsv"
    work.run("bcftools", "query", "-f", "%POS\t%END\t[%DP]\n", gvcf, stdout=columns)
    bases = Counter[int]()  # depth -> bases
    with columns.open() as lines:
        for line in lines:
            start, end, depth = line.split("\t")
            if depth.strip().isdigit():  # Strelka has none for indels
                bases[int(depth)] += int(end) - int(start) + 1
    columns.unlink()
    del bases[0]
    return Depth(_median(bases), bases.total())


def _median(bases: Counter[int]) -> int:
    half, seen = bases.total() / 2, 0
    for depth in sorted(bases):
        seen += bases[depth]
        if seen >= half:
            return depth
    return 0
