"""Fetch the calls and the gVCF of every sample of a joint run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdrop.failure.verdict import JobError
from seqdrop.jobs.gvcf import MIN_ALLELE_READS
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

VCF, GVCF, INDEX = "vcf", "gvcf", ".tbi"  # outputs in the manifest of a run: `vcf`, `vcf.tbi`


@dataclass(frozen=True, slots=True)
class Sample:
    """The local files of a sample."""

    name: str
    calls: Path  # normalised, with the filters of the caller
    gvcf: Path
    least_depth: float  # reads without which a base without a call is unknown


def fetch_samples(work: Workspace, entries: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Download the pinned files of every sample, under names without the sample id.

    Raise JobError if a file has other samples than the one that it is said to be of.
    """
    return [_fetch_sample(work, entry, f"S{number}") for number, entry in enumerate(entries, start=1)]


def _fetch_sample(work: Workspace, entry: Mapping[str, Any], name: str) -> Sample:
    files = {VCF: f"{name}.vcf.gz", GVCF: f"{name}.g.vcf.gz"}
    paths = {}
    for word, file in files.items():
        paths[word] = fetch(work, entry[word], file)
        fetch(work, entry[f"{word}{INDEX}"], companion_path(paths[word], INDEX).name)
        if work.processes.output("bcftools", "query", "-l", paths[word]).split() != [entry["sample"]]:
            raise JobError("RESULTS_CHANGED", f"{file} has other samples than its run")
    return Sample(entry["sample"], paths[VCF], paths[GVCF], max(MIN_ALLELE_READS, float(entry["least_depth"])))


def fetch(work: Workspace, pin: Mapping[str, Any], name: str) -> Path:
    """Download the version of an object that a manifest or a receipt lists."""
    return work.fetch(S3Uri.parse(pin["uri"]), name=name, **s3.expected_of(pin))
