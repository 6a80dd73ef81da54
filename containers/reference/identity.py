"""Tell whether two references are the same: by a fingerprint of contigs, genes and ploidy."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqdrop.plan import ploidy
from seqdrop.plan.names import DIPLOID, REFERENCE_JSON, canonical
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.reference.fasta import refused


def fingerprint(
    contigs: list[dict[str, Any]],
    genes_source: Path | None,
    ploidy: int = DIPLOID,
    ploidy_regions: Sequence[Sequence[Any]] = (),
) -> str:
    """Return a hash of contigs, genes and ploidy, which does not depend on file names.

    Two is the ploidy of references that were prepared before they had one: their fingerprint is unchanged.
    """
    digest = hashlib.sha256(json.dumps(contigs).encode())
    if genes_source:
        with genes_source.open("rb") as file:
            while block := file.read(8 << 20):
                digest.update(block)
    if ploidy != DIPLOID:
        digest.update(f"ploidy {ploidy}".encode())
    if ploidy_regions:
        digest.update(f"regions {canonical(ploidy_regions)}".encode())
    return digest.hexdigest()[:20]


def existing_indexes(reference: S3Uri, summary: Mapping[str, Any]) -> list[str]:
    """Return the indexes that the reference already has; raise BadInputError if it differs from `summary`.

    Runs may be reading that reference, so it is not replaced.
    """
    with contextlib.suppress(s3.MissingError):
        prepared = s3.store().read_json(reference.parent / REFERENCE_JSON)
        if prepared["fingerprint"] != summary["fingerprint"]:
            raise refused(f"{reference.parent.name} is prepared already {difference(prepared, summary)}")
        return list(prepared["indexes"])
    return []


def difference(prepared: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return how a prepared reference differs from the one of `summary`, and what to do."""
    before = prepared.get("ploidy", DIPLOID)
    if prepared["contigs"] != summary["contigs"]:
        return "from another genome: choose another --name"
    if before != summary["ploidy"]:
        return f"with ploidy {before}: give --ploidy {before}, or choose another --name"
    if prepared.get(ploidy.REGIONS, []) != summary[ploidy.REGIONS]:
        same = "give the same --ploidy-file" if prepared.get(ploidy.REGIONS) else "leave out --ploidy-file"
        return f"with ploidy {ploidy.describe(prepared)}: {same}, or choose another --name"
    if "snpeff" not in prepared["indexes"]:
        return "from this genome without genes: choose another --name for the one with genes"
    with_genes = "with other genes" if "genes" in summary["sources"] else "with genes"
    return f"from this genome {with_genes}: give the same --genes, or choose another --name"
