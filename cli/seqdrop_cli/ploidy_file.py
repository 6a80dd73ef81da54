"""Read the file of `seqdrop reference --ploidy-file`, and check it against the genome before any upload."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from seqdrop.fastq.records import GZIP_MAGIC
from seqdrop.plan import ploidy
from seqdrop.plan.bed import BedError
from seqdrop.plan.ploidy import Region

from seqdrop_cli.errors import CliError, describe_os_error


def read(path: Path, fasta: Path | None) -> list[Region]:
    """Return the regions of a ploidy file, checked against the contigs of the FASTA if it is here; raise CliError."""
    try:
        with path.open("rb") as file:
            regions = ploidy.read(file)
        if fasta:
            ploidy.check(regions, contig_lengths(fasta))
    except BedError as error:
        raise CliError(f"{path}: {error}.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CliError(f"{fasta} is truncated or damaged: {error}. Copy it again.") from None
    except OSError as error:
        raise CliError(describe_os_error(error)) from None
    return regions


def contig_lengths(fasta: Path) -> dict[str, int]:
    """Return the number of bases of each contig of a FASTA, which its preparation checks."""
    with fasta.open("rb") as file:
        is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    lengths, name = dict[str, int](), ""
    with gzip.open(fasta) if is_gzip else fasta.open("rb") as lines:
        for line in lines:
            if line.startswith(b">"):
                name = (line[1:].decode(errors="replace").split(maxsplit=1) or [""])[0]
                lengths[name] = 0
            elif name:
                lengths[name] += len(line.strip())
    return lengths
