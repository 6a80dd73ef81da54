"""Divide aligned reads by region: several contigs each, so that reads that are compared are in one region.

`samtools markdup` compares reads of one contig only, and knows the mate of a read by its tags. So regions of whole
contigs are sorted and marked as all reads together are.
"""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seqdrop.failure.verdict import JobError
from seqdrop.jobs.alignment import FIXMATE
from seqdrop.jobs.child import TAIL_LINES, ToolError
from seqdrop.jobs.processes import tool_environment
from seqdrop.jobs.redaction import Redactor
from seqdrop.jobs.workspace import Workspace
from seqdrop.text import plain_line

REGIONS = 16  # of equal contigs: a region is at most as long as a sixteenth of the genome, or as the longest contig
RECORD = struct.Struct("<ii")  # the start of a record: size and contig, which is -1 for a read without a place


@dataclass(frozen=True)
class Division:
    """Add mate fields to batches of records, and divide them: in the processes of the aligner."""

    header: bytes  # of the BAM of the aligner
    fixed_header: bytes  # of the regions: `fixmate` adds a line
    regions: tuple[int, ...]  # of each contig, and last of the reads without a place
    directory: Path  # of the job
    redactor: Redactor

    def divide(self, records: bytes) -> list[bytes]:
        """Return the records of each region, in order; both mates of each pair are in `records`. Raises ToolError."""
        bam = self._fix_mates(self.header + records)
        if not bam.startswith(self.fixed_header):
            raise JobError("INTERNAL", "samtools fixmate wrote another header for a batch than for the first one")
        by_region: list[list[bytes]] = [[] for _ in range(self.regions[-1] + 1)]
        at, end = len(self.fixed_header), len(bam)
        while at < end:
            size, contig = RECORD.unpack_from(bam, at)
            following = at + 4 + size
            by_region[self.regions[contig]].append(bam[at:following])
            at = following
        return list(map(b"".join, by_region))

    def _fix_mates(self, bam: bytes) -> bytes:
        command, environment = list(map(str, FIXMATE)), tool_environment(self.directory)
        done = subprocess.run(command, input=bam, capture_output=True, check=False, cwd=self.directory, env=environment)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").splitlines()[-TAIL_LINES:]
            raise ToolError("samtools", done.returncode, [plain_line(self.redactor.redact(line)) for line in lines])
        return _unpack(done.stdout)


def new(work: Workspace, header: bytes) -> Division:
    """Return the division of the reads of a BAM with this header; raise ToolError."""
    fixed: list[bytes] = []

    def write(out: BinaryIO) -> None:
        out.write(header)

    work.processes.pipe(write, FIXMATE, reader=lambda stream: fixed.append(stream.read()))
    return Division(header, _unpack(fixed[0]), regions_of(work), work.directory, work.processes.redactor)


def regions_of(work: Workspace) -> tuple[int, ...]:
    """Return the region of each contig of the reference, and the last region, that of the reads without a place.

    The contigs of a region follow each other, so that one region after the other has the order of the reference. The
    regions do not depend on the size of the job.
    """
    lengths = lengths_of(work)
    limit = max(*lengths, sum(lengths) / REGIONS)
    regions, region, used = list[int](), 0, 0
    for length in lengths:
        if used and used + length > limit:
            region, used = region + 1, 0
        regions.append(region)
        used += length
    return (*regions, region + 1)


def lengths_of(work: Workspace) -> list[int]:
    """Return the lengths of the contigs of the reference."""
    return [int(contig["length"]) for contig in work.reference["contigs"]]


def _unpack(bam: bytes) -> bytes:
    from isal import igzip  # noqa: PLC0415  compiled: installed in the images, not in the layer

    data: bytes = igzip.decompress(bam)
    return data
