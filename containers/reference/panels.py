"""Check the targets of a panel against the contigs of a reference, and write them as runs read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqdrop.plan import bed, extras
from seqdrop.plan.extras import PADDING

from containers.reference.fasta import refused


def write(source: Path, target: Path, name: str, padding: int, lengths: Mapping[str, int]) -> dict[str, Any]:
    """Write the targets of a panel; return what reference.json has about it. Raise BadInputError with the line."""
    if not (isinstance(padding, int) and 0 <= padding <= extras.MAX_PADDING):
        raise refused(f"the padding of panel {name} must be a number of bases from 0 to {extras.MAX_PADDING:,}")
    try:
        with source.open("rb") as file:
            targets = bed.read(file, source.name, lengths)
    except bed.BedError as error:
        raise refused(f"panel {name}: {error}") from None
    target.write_bytes(targets)
    with target.open("rb") as file:
        merged = list(bed.merge(bed.intervals(file, target.name, lengths)))
    bases = sum(end - start for _, start, end in merged)
    return {PADDING: padding, "targets": len(targets.splitlines()), "bases": bases, "sha256": bed.checksum(targets)}
