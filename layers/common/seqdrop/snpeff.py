"""The snpEff database of a reference: one tar beside the genome, written by one job and read by another."""

from __future__ import annotations

from pathlib import Path

DATABASE = ".snpeff.tar"  # companion of the genome
NAME = "genome"  # what the one genome of that database is called
CONFIG, DATA = "snpEff.config", "data"


def options(folder: Path) -> list[str]:
    """What every call needs to use that database and nothing else: no home folder, no download, no call home."""
    return ["-noLog", "-nodownload", "-c", str(folder / CONFIG), "-dataDir", str(folder / DATA)]
