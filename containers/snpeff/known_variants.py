"""Annotate the alleles of a run with the known variants of its reference: identifiers, and fields in INFO."""

from __future__ import annotations

from pathlib import Path

from seqdrop.jobs import calling
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import extras
from seqdrop.plan.extras import KNOWN


def add(work: Workspace, vcf: Path) -> Path:
    """Return a VCF with what the known variants of the reference say about its alleles; the same one without any.

    Position, REF and ALT must be equal: both are left-aligned, with one allele a record. An identifier is added to
    those that the record has.
    """
    for name, entry in (work.pinned(KNOWN) or {}).items():
        uri = work.args.reference.companion(extras.known_suffix(name))
        work.fetch_reference_file(uri.companion(".tbi"))
        known, annotated = work.fetch_reference_file(uri), work / f"known.{name}.vcf.gz"
        columns = ["=ID"] if "ID" in entry["fields"] else []
        columns += [f"INFO/{extras.info_name(name, field)}" for field in entry["fields"] if field != "ID"]
        work.run("bcftools", "annotate", "--pair-logic", "exact", "-a", known, "-c", ",".join(columns),
                 "-Oz1", "-o", annotated, vcf)  # fmt: skip
        calling.verify_vcf(work, annotated)
        known.unlink()
        vcf = annotated
    return vcf
