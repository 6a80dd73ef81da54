"""Find the public references that `seqdrop reference --fetch` prepares: addresses of genome and genes, checksums."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seqdrop.plan.names import DIPLOID
from seqdrop.storage.web_address import WebAddress

from seqdrop_cli.errors import CliError
from seqdrop_cli.screen import say

TABLE = Path(__file__).parent / "known_references.toml"


@dataclass(frozen=True, slots=True)
class PublicReference:
    """A row of the table."""

    name: str
    title: str
    aliases: tuple[str, ...]
    source_page: str
    fasta: WebAddress
    genes: WebAddress
    checksum_source: str
    notes: str
    ploidy: int

    def to_json(self) -> dict[str, Any]:
        """Return the row with its checksums, "" where none is known."""
        files = {
            word: {"url": file.url, "checksum": f"{file.algorithm}:{file.checksum}" if file.checksum else ""}
            for word, file in (("fasta", self.fasta), ("genes", self.genes))
        }
        texts = {"source_page": self.source_page, "checksum_source": self.checksum_source, "notes": self.notes}
        return {"name": self.name, "title": self.title, **files, "ploidy": self.ploidy, **texts}


@cache
def table() -> dict[str, PublicReference]:
    """Return all rows, by name."""
    rows = tomllib.loads(TABLE.read_text())
    return {name: _row(name, row) for name, row in rows.items()}


def _row(name: str, row: dict[str, Any]) -> PublicReference:
    fasta, genes = (WebAddress.parse(row[word]) for word in ("fasta", "genes"))
    texts = {word: row[word] for word in ("title", "source_page", "checksum_source", "notes")}
    return PublicReference(
        name=name, aliases=tuple(row["aliases"]), fasta=fasta, genes=genes, ploidy=row.get("ploidy", DIPLOID), **texts
    )


def find(text: str) -> PublicReference:
    """Return the reference with a name, or one of its other names, in any case; raise CliError."""
    for row in table().values():
        if text.lower() in {name.lower() for name in (row.name, *row.aliases)}:
            return row
    raise CliError(f"No public reference {text!r} in the table: it has {', '.join(table())}.")


def show(row: PublicReference) -> None:
    """Print where the files are, and what proves that they are the right ones."""
    say(f"{row.name}: {row.title}", style="bold")
    for label, file in (("genome", row.fasta), ("genes", row.genes)):
        say(f"  {label:<9} {file.url}")
        known = (
            f"{file.algorithm} {file.checksum}"
            if file.checksum
            else "no checksum is known: that of the download is pinned"
        )
        say(f"  {'':<9} {known}")
    say(f"  ploidy    {row.ploidy}")
    say(f"  source    {row.source_page}")
    say(f"  checksums {row.checksum_source}")
    if row.notes:
        say(f"  note      {row.notes}")
