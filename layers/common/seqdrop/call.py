"""What all variant callers share: their interface, and the proof that a VCF is whole."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seqdrop import job
from seqdrop.failure import JobError
from seqdrop.work import Work

INTERFACE = ("sample", "reference", "intervals", "bam", "vcf")
# The empty block that ends every BGZF file (SAM specification, 4.1.2): without it the file was cut off.
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def arguments(argv: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    return job.arguments(argv, description, *INTERFACE)


def prove(work: Work, vcf: Path) -> int:
    """The number of records of a bgzipped VCF that has its end and can be read; writes its `.tbi`."""
    with vcf.open("rb") as file:
        file.seek(max(0, vcf.stat().st_size - len(BGZF_END)))
        if file.read() != BGZF_END:
            raise JobError("TOOL_FAILED", f"{vcf.name} is cut off: it has no end-of-file block")
    work.run("bcftools", "index", "--tbi", "--force", vcf)
    return int(work.processes.output("bcftools", "index", "--nrecords", vcf))


def publish(work: Work, vcf: Path) -> None:
    """Publish the calls with their index and the statistics the report reads."""
    work.version("bcftools")
    work.counts["variants"] = prove(work, vcf)
    work.run("bcftools", "stats", vcf, stdout=vcf.with_name(vcf.name + ".stats"))
    work.publish(vcf, "vcf", ".tbi", ".stats")
