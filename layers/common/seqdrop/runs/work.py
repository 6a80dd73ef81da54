"""Model the time of the jobs of a run, by its tools and its FASTQs. docs/sizing.md says how good it is. Pure."""

from __future__ import annotations

from seqdrop.plan.names import CRAM
from seqdrop.plan.steps import REGION_SORT_VCPUS

BYTES_OF_PAIR = 226  # of gzipped FASTQs, for a pair of 2x150: 70 GB of 310 million, a human genome at depth 30
START = 90  # seconds, guess: an instance and the image
# CPU seconds for a million pairs, divided among the vCPUs of the job.
BWA_MEM3 = 77.0  # on a human genome: estimate; 40 on chromosome 20, 25 on 5 Mb, measured
CPU_SECONDS = {
    "bwa_mem3": BWA_MEM3,
    "bwa": 3 * BWA_MEM3,  # 3 times bwa_mem3: measured on E. coli
    "isaac": 2230.0,  # guess: 6 hours on 32 vCPUs for 310 million pairs
    "bcftools": 38.0,  # measured on chromosome 20 at depth 30, 239 s for 6.3 million pairs; 33 on a bacterium
    "strelka": 743.0,  # guess: 2 hours on 32 vCPUs for 310 million pairs
}
# Seconds for a million pairs, whatever the vCPUs.
SECONDS = {
    "align": 1.5,  # the merge of `samtools sort` and markdup after the last batch, with a core for each: measured
    "call": 2.0,  # guess: ten minutes to join and normalise the calls of the pieces of 310 million pairs
    "annotate": 6.0,  # guess: half an hour for the 5 million variants of 310 million pairs
    "collect": 3.2,  # samtools stats and flagstat, mosdepth, on two threads: half of the 6.3 measured
    "compose": 0.5,  # estimate: 3 minutes for 5 million calls
}
# Sorting by region, instead of the merge: CPU seconds, 4.0 to divide and 5.2 to merge and mark; then seconds of one
# thread, which joins, digests and indexes the regions. All measured.
REGION_CPU_SECONDS, REGION_SECONDS = 9.2, 0.67
FIXED = {"align": 54, "annotate": 60}  # seconds: 27 GB of index at 0.5 GB/s; guess: the database of genes
CRAM_SHARE = 1.1  # times the time of the steps that read or write CRAM: estimate, docs/tools.md
CRAM_STEPS = ("align", "scatter", "call", "collect")


def seconds_of(step: str, tool: str, size: int, vcpus: int, alignment_format: str = "") -> float:
    """Return the seconds of a step after the start of its job, for FASTQs of `size` bytes."""
    pairs = size / BYTES_OF_PAIR / 1e6
    shared, alone = CPU_SECONDS.get(tool, 0.0), SECONDS.get(step, 0.0)
    if tool == "bwa_mem3" and vcpus >= REGION_SORT_VCPUS and alignment_format != CRAM:
        shared, alone = shared + REGION_CPU_SECONDS, REGION_SECONDS
    slower = CRAM_SHARE if alignment_format == CRAM and step in CRAM_STEPS else 1.0
    return FIXED.get(step, 0) + slower * pairs * (shared / vcpus + alone)
