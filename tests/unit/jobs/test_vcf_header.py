"""seqdrop.jobs.vcf_header: what differs between two runs of the same reads."""

from __future__ import annotations

from pathlib import Path

from seqdrop.jobs import vcf_header

HEADER = """\
##fileformat=VCFv4.1
##fileDate=20261129
##startTime=Sun Nov 29 15:54:52 2026
##cmdline=configureStrelkaGermlineWorkflow.py --bam /scratch/x/sorted.bam --runDir strelka
##reference=file:///scratch/x/genome.fa
##bcftools_normVersion=1.16+htslib-1.16
##bcftools_normCommand=norm -f genome.fa -Ou -; Date=Sun Nov 29 15:54:52 2026
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""
EDITED = """\
##fileformat=VCFv4.1
##cmdline=configureStrelkaGermlineWorkflow.py --bam sorted.bam --runDir strelka
##reference=file://genome.fa
##bcftools_normVersion=1.16+htslib-1.16
##bcftools_normCommand=norm -f genome.fa -Ou -
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""


def test_a_header_has_no_times_and_no_scratch_paths() -> None:
    assert vcf_header.edit(HEADER, Path("/scratch/x")) == EDITED
    assert vcf_header.edit(EDITED, Path("/scratch/x")) == EDITED
