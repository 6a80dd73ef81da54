"""Name the files that a reference can have besides its genome: panels of targets, and known variants."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from seqdrop.plan.names import canonical

PANELS, KNOWN = "panels", "known"  # in reference.json, in the sources of a preparation, in the plan of a run
FILES = "files"  # of known variants: the CRC-64/NVME of the VCF and of its index, by what follows the name of the VCF
PADDING = "padding"  # bases on each side of a target in which variants are called too
DEFAULT_PADDING, MAX_PADDING = 100, 10_000
NO_PANEL = "none"  # the choice of a run without a panel where the stack has a default one
# A name of known variants is the beginning of names in INFO, which a `_` ends.
KNOWN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}")
FIELD = re.compile(r"ID|[A-Za-z_][0-9A-Za-z_.]{0,99}|1000G")  # the column ID, or a field in INFO (VCF 4.3, 1.6.1)


def panel_suffix(name: str) -> str:
    """Return the suffix of the BED file of a panel, which is a companion of the genome."""
    return f".panel.{name}.bed"


def known_suffix(name: str) -> str:
    """Return the suffix of the VCF of known variants, which is a companion of the genome; its index is beside it."""
    return f".known.{name}.vcf.gz"


def known_files(summary: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the name and the CRC-64/NVME of each file of known variants in reference.json, by its suffix.

    Earlier versions wrote no checksums.
    """
    return {
        f"{known_suffix(name)}{companion}": (name, checksum)
        for name, entry in summary.get(KNOWN, {}).items()
        for companion, checksum in entry.get(FILES, {}).items()
    }


def info_name(name: str, field: str) -> str:
    """Return the name that a field of known variants has in the VCF of a run: nothing of the caller is replaced."""
    return f"{name}_{field}"


def fingerprint(summary: Mapping[str, Any]) -> str:
    """Return the hash of what a run reads of a reference (reference.json), apart from a panel; "" without one.

    Contigs, genes and ploidy have a fingerprint of their own, which is the whole one without known variants.
    """
    own = str(summary.get("fingerprint", ""))
    known = {name: one["fingerprint"] for name, one in summary.get(KNOWN, {}).items()}
    return hashlib.sha256(canonical([own, known]).encode()).hexdigest()[:20] if known else own
