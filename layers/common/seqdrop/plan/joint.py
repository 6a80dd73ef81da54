"""Build the plan of a joint run, which joins the calls of several samples into one VCF."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from seqdrop.plan import layout, steps
from seqdrop.plan.extras import KNOWN
from seqdrop.plan.fastq_names import MAX_SAMPLE
from seqdrop.plan.forms import MAX_PARTS, MIN_PARTS
from seqdrop.plan.names import MANIFEST, READS, VERSION, WHOLE_GENOME, canonical
from seqdrop.storage.uri import S3Uri

KIND = "joint"  # `kind` of the plan, the row and the manifest of a joint run
MIN_SAMPLES, MAX_SAMPLES = 2, 100  # the plan of an execution has at most 256 KiB, and start_run 60 seconds
FILES = ("vcf", "vcf.tbi", "gvcf", "gvcf.tbi")  # outputs of a run that a joint run reads
PINNED = ("vcf", "gvcf")  # of them, those that change the results
RESERVED = ".g"  # the end of no name: with it, the VCF would be named as the gVCF of a run
PART_SIZE = 100_000_000  # bases: a human genome has 31 parts
METHOD = 1  # another number for another way to join: the results would differ


def default_name(samples: Sequence[str]) -> str:
    """Return the name of a joint run of these samples, or "" if it would be too long."""
    name = "-".join(samples)
    return name if len(name) <= MAX_SAMPLE else ""


def run_id(name: str, entries: Sequence[Mapping[str, Any]], genome: str) -> str:
    """Return the id of a joint run: the hash of everything that changes its results, and of nothing else.

    `entries` are those of `samples` in reads.json, `genome` is the fingerprint of the reference.
    """
    pins = [
        [entry["sample"], entry["least_depth"], *([entry[file]["uri"], entry[file]["version_id"]] for file in PINNED)]
        for entry in entries
    ]
    identity = [KIND, METHOD, name, pins, genome, layout.ANNOTATOR]
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:20]


def number_of_parts(bases: int) -> int:
    """Return the number of parts in which a genome of so many bases is merged."""
    return min(max(MIN_PARTS, -(-bases // PART_SIZE)), MAX_PARTS)


def plan(
    name: str,
    run: str,
    samples: Sequence[Mapping[str, str]],
    *,
    results_bucket: str,
    reference: S3Uri,
    genome: str,
    caller: str,
    intervals: Mapping[str, str | int],
    sources: Mapping[str, Any],
    known: Mapping[str, Any] | None = None,
    parts: int,
    jobs: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return the plan of a joint run, the input of its execution. Pure.

    `samples` has sample and run of each, in the order of the columns; `intervals` the words of the plans of these
    runs, `known` what they have about known variants, which annotate the joint calls too. `parts` is the number of
    children of the array job. `jobs` as for `layout.plan`.
    """
    results = S3Uri(results_bucket, f"{name}/{run}")
    settings = {step.name: {**jobs[step.name], "attempt": "1", "args": canonical([])} for step in steps.JOINT}
    return {
        "version": VERSION,
        "kind": KIND,
        "sample": name,
        "samples": [dict(sample) for sample in samples],
        "run": run,
        "lanes": 1,
        "parts": parts,
        "steps": [step.name for step in steps.JOINT],
        "reference": str(reference),
        "fingerprint": genome,
        "sources": dict(sources),
        **({KNOWN: dict(known)} if known else {}),
        "caller": caller,
        "intervals": WHOLE_GENOME,
        **intervals,
        "results": str(results),
        "reads": str(results / READS),
        **layout.outputs(results, name, 1, steps.JOINT),
        "manifest": str(results / MANIFEST),
        **settings,
    }


def resumed_plan(plan: Mapping[str, Any], jobs: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the plan of an ended joint run for another execution; `jobs` has today's sizes and job definitions."""
    renewed = {
        step.name: {**plan[step.name], **jobs[step.name], "job_queue": plan[step.name]["job_queue"], "attempt": "1"}
        for step in steps.JOINT
    }
    return {**plan, **renewed}
