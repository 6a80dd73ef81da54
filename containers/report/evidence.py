"""Fetch the reads at the first variants of the list, and the bases of the reference around them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seqdrop.failure.verdict import BadInputError
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.names import CRAM
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

from containers.report import pileups, slices
from containers.report.calls import Variant
from containers.report.pileups import SIDE, Pileup
from containers.report.sources import STATS, Measured, contig_lengths

MAX_PILEUPS = 100  # variants with their reads; at a depth of 30 each takes some 4 kB of the page
NO_CRAM = "The aligned reads are CRAM, of which this page cannot read a part."
NOT_READ = "The aligned reads could not be read: {}."
TOO_DEEP = f"Not drawn: more than {slices.PIECE * slices.MAX_PIECES >> 20} MiB of reads around this variant."


class Contig(NamedTuple):
    """A row of a FASTA index."""

    length: int  # bases
    offset: int  # of the first base in the file
    bases: int  # of a line
    width: int  # of a line, with its end

    def place(self, base: int) -> int:
        """Return the place of a base (from 0) in the file."""
        return self.offset + base // self.bases * self.width + base % self.bases


@dataclass(frozen=True)
class Evidence:
    """The aligned reads and the genome of a run, of which parts are read."""

    bam: Mapping[str, Any]  # an output of a receipt
    indexes: list[tuple[int, ...]]
    contigs: list[str]  # in the order of the BAM
    genome: S3Uri
    pin: Mapping[str, str]  # the version of the genome
    fai: Mapping[str, Contig]

    def pileup(self, variant: Variant) -> Pileup:
        """Return the drawing of the reads at a variant."""
        number = self.contigs.index(variant.contig)
        try:
            found = slices.reads_at(self.part, self.indexes[number], number, variant.position - 1)
        except slices.TooDeepError:
            return Pileup(variant, summary=TOO_DEEP)
        start = max(0, variant.position - 1 - SIDE)
        return pileups.draw(variant, found, self.bases(variant.contig, start, variant.position + SIDE), start)

    def part(self, start: int, size: int) -> bytes:
        """Return `size` bytes of the BAM, fewer at its end."""
        size = min(size, self.bam["size"] - start)
        uri = S3Uri.parse(self.bam["uri"])
        return s3.store().read_range(uri, start, size, self.bam.get("version_id", "")) if size > 0 else b""

    def bases(self, name: str, start: int, end: int) -> str:
        """Return the bases of a contig from `start` to before `end`."""
        contig = self.fai[name]
        first, last = contig.place(start), contig.place(min(end, contig.length) - 1)
        text = s3.store().read_range(self.genome, first, last - first + 1, self.pin.get("version_id", ""))
        return "".join(text.decode().split())


def add_pileups(work: Workspace, measured: Measured) -> None:
    """Add the reads at the first variants, or why there are none: the page is complete without them."""
    outputs = {one["name"]: one for receipt in measured.receipts for one in receipt.get("outputs", [])}
    if not measured.calls or not measured.calls.listed or "bam" not in outputs:
        return
    if outputs["bam"]["uri"].endswith(CRAM):
        measured.pileup_note = NO_CRAM
        return
    try:
        evidence = open_reads(work, outputs)
        measured.pileups = list(s3.store().each(evidence.pileup, measured.calls.listed[:MAX_PILEUPS]))
    except (BadInputError, s3.MissingError, s3.ArchivedError, s3.IntegrityError, struct.error, zlib.error) as error:
        measured.pileup_note = NOT_READ.format(error)


def open_reads(work: Workspace, outputs: Mapping[str, Mapping[str, Any]]) -> Evidence:
    """Return the reads and the genome of a run, with their indexes."""
    bai = work.fetch(S3Uri.parse(outputs["bam.bai"]["uri"]), name="reads.bam.bai", etag=outputs["bam.bai"]["etag"])
    fai = read_fai(work.fetch_reference_file(work.args.reference.companion(".fai")))
    names = list(contig_lengths(work / f"{STATS}.idxstats") or fai)
    pin = work.pin_of(work.args.reference) or {}
    return Evidence(outputs["bam"], slices.linear_indexes(bai.read_bytes()), names, work.args.reference, pin, fai)


def read_fai(path: Path) -> dict[str, Contig]:
    """Return the index of a FASTA."""
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {name: Contig(*map(int, numbers)) for name, *numbers in rows}
