"""Give the page IGV (igv.js), compressed until the reader opens a variant, and what it shows."""

from __future__ import annotations

import base64
import gzip
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from containers.report.sample import MAX_READS
from containers.report.sites import Evidence, Site

PACKAGE = "igv_notebook"  # the wheel that has igv.js; its Python modules are not used, and need a notebook
LICENSE = Path(__file__).with_name("igv_license.txt")  # of igv.js: the wheel has its own only
SOURCE_MAP = "//# sourceMappingURL="  # an address that developer tools would ask for


@cache
def script() -> str:
    """Return igv.js, after its license, which each copy must have."""
    found = importlib.util.find_spec(PACKAGE)
    if not found or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{PACKAGE}, a package of the extra report, is not installed")
    text = (Path(found.submodule_search_locations[0]) / "js" / "igv.iife.js").read_text()
    return f"/*\n{LICENSE.read_text()}*/\n{text.partition(SOURCE_MAP)[0]}"


@cache
def packed() -> str:
    """Return igv.js compressed, as base64."""
    return base64.b64encode(gzip.compress(script().encode(), mtime=0)).decode()


def words(evidence: Evidence | None) -> dict[str, Any]:
    """Return the IGV variables of the template."""
    if not evidence:
        return {"evidence": None}
    data = {
        "bam": base64.b64encode(evidence.bam).decode(),
        "fasta": evidence.fasta,
        "sites": [_site(one) for one in evidence.sites],
    }
    return {"evidence": data, "igv": packed() if evidence.shown else "", "max_reads": MAX_READS}


def _site(site: Site) -> dict[str, Any]:
    variant = site.variant
    words = [f"{variant.contig}:{variant.position} {variant.ref}>{variant.alt}", variant.gene, variant.effect,
             "" if variant.passed else variant.filters]  # fmt: skip
    return {
        "locus": site.locus if site.shown else "",
        "contig": variant.contig,
        "position": variant.position,
        "title": ", ".join(filter(None, words)),
        "note": site.note,
    }
