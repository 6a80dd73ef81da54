"""Describe the variants of which the page shows the reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from containers.report.calls import Variant

VIEW = 40  # bases on each side of a variant that are visible at first
MAX_VIEW = 400  # bases of a long variant that are visible at first


@dataclass
class Site:
    """A variant of the list, and how many of its reads are in the page."""

    variant: Variant
    note: str = ""
    shown: bool = True

    @property
    def locus(self) -> str:
        """The bases that are visible at first, as IGV writes them."""
        start = self.variant.position
        end = min(start + len(self.variant.ref) - 1, start + MAX_VIEW)
        return f"{self.variant.contig}:{max(1, start - VIEW)}-{end + VIEW}"


@dataclass
class Evidence:
    """Reads and reference for IGV, with the variants."""

    sites: list[Site] = field(default_factory=list)
    bam: bytes = b""
    fasta: str = ""  # pieces of the reference, in the form of igv-reports: `>contig:from-to @len=bases of the contig`

    @property
    def shown(self) -> bool:
        """Whether reads of any variant are in the page."""
        return any(site.shown for site in self.sites)
