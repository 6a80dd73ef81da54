"""Copy parts of objects in S3 to their places in local files, so that tools read them by their indexes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.report.parts import Part, merge

PIECE = 8 << 20  # bytes of a request


class Contig(NamedTuple):
    """A row of a FASTA index."""

    length: int  # bases
    offset: int  # of the first base in the file
    bases: int  # of a line
    width: int  # of a line, with its end

    def part(self, start: int, end: int) -> Part:
        """Return the part of the file with the bases from `start` to before `end`."""
        first, last = (at // self.bases * self.width + at % self.bases for at in (start, min(end, self.length) - 1))
        return self.offset + first, self.offset + last + 1


def copy(uri: S3Uri, version_id: str, size: int, wanted: Iterable[Part], path: Path) -> None:
    """Write parts of an object to their places in a file of the same size, which takes the space of the parts only."""
    with path.open("wb") as file:
        file.truncate(size)

        def read(part: Part) -> None:
            os.pwrite(file.fileno(), s3.store().read_range(uri, part[0], part[1] - part[0], version_id), part[0])

        pieces = [(at, min(end, at + PIECE)) for start, end in merge(wanted) for at in range(start, end, PIECE)]
        list(s3.store().each(read, pieces))


def read_fai(path: Path) -> dict[str, Contig]:
    """Return the index of a FASTA."""
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {name: Contig(*map(int, numbers)) for name, *numbers in rows}
