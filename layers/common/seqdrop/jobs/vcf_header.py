"""Remove from the header of a VCF what differs between two runs of the same reads: times and scratch paths."""

from __future__ import annotations

import re
from pathlib import Path

from seqdrop.jobs.workspace import Workspace

TIMES = ("##fileDate=", "##startTime=")
DATE = re.compile(r"^(##bcftools_\w+=.*); Date=.*$")  # after the command, on the lines that bcftools adds


def clean(work: Workspace, vcf: Path) -> None:
    """Rewrite the header of a bgzipped VCF; its records are copied as they are."""
    header, renamed = vcf.with_name(f"{vcf.name}.header"), vcf.with_name(f"clean.{vcf.name}")
    header.write_text(edit(work.processes.output("bcftools", "view", "-h", "--no-version", vcf), work.directory))
    work.run("bcftools", "reheader", "-h", header, "-o", renamed, vcf)
    renamed.rename(vcf)


def edit(text: str, directory: Path) -> str:
    """Return the lines of a header without times, and with paths that are relative to the directory of the job."""
    for folder in (directory, directory.resolve()):
        text = text.replace(f"{folder}/", "")
    lines = (DATE.sub(r"\1", line) for line in text.splitlines() if not line.startswith(TIMES))
    return "\n".join(lines) + "\n"
