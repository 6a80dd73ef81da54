"""Copy the reads and the bases of a few regions of a run, without the rest of its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seqdrop.jobs import file_ranges, partial_reads
from seqdrop.jobs.alignment_file import format_of, index_of
from seqdrop.jobs.file_ranges import BamIndex, CramIndex, Range, Span
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.plan import bed
from seqdrop.plan.bed import Interval
from seqdrop.storage import s3
from seqdrop.storage.s3 import StoredObject
from seqdrop.storage.uri import S3Uri

from containers.report.sources import STATS, contig_lengths

SMALL_CONTIG = 1 << 20  # bases


class Contig(NamedTuple):
    """A row of a FASTA index."""

    length: int  # bases
    offset: int  # of the first base in the file
    bases: int  # of a line
    width: int  # of a line, with its end

    def part(self, start: int, end: int) -> Range:
        """Return the part of the file with the bases from `start` to before `end`."""
        first, last = (at // self.bases * self.width + at % self.bases for at in (start, min(end, self.length) - 1))
        return Range(self.offset + first, self.offset + last + 1)


@dataclass
class Aligned:
    """The aligned reads of a run and its genome, of which parts are copied."""

    stored: StoredObject  # the reads
    index: BamIndex | CramIndex
    reads: Path  # the copy, beside its index
    stored_genome: StoredObject
    genome: Path  # the copy, beside its index
    contigs: list[str]  # in the order of the header
    fai: Mapping[str, Contig]

    def region(self, contig: str, start: int, end: int) -> Span:
        """Return those of these bases that the contig has."""
        return Span(self.contigs.index(contig), max(0, start), min(end, self.fai[contig].length))

    def size_of(self, region: Span) -> int:
        """Return how many bytes the reads of a region take, with the bases of the genome that decoding needs."""
        size = sum(end - start for start, end in self.index.part(region))
        return size + sum(end - start for _, start, end in self.bases(region))

    def bases(self, region: Span) -> list[Span]:
        """Return the bases of the genome that decoding the reads of a region needs: none for a BAM."""
        return [self._read_by_htslib(one) for one in self.index.bases(region)]

    def _read_by_htslib(self, bases: Span) -> Span:
        """Return the bases that htslib reads for these: the whole contig for half of it or more (cram_get_ref).

        It also reads the whole contig for a container that may have several contigs, which the index does not say of
        all: htslib writes such ones for small contigs.
        """
        length = self.fai[self.contigs[bases.contig]].length
        end = min(bases.end, length)
        is_whole = length <= SMALL_CONTIG or 2 * (end - bases.start) >= length
        return Span(bases.contig, 0, length) if is_whole else bases._replace(end=end)

    def copy_reads(self, regions: Sequence[Span]) -> int:
        """Copy the header and the reads of these regions; return the number of bytes."""
        return partial_reads.download(self.stored, self.reads, self.index.ranges(regions))

    def copy_genome(self, regions: Iterable[Span]) -> int:
        """Copy the bases of these regions, which nothing verifies: a FASTA has no checksums. Return the bytes."""
        wanted = (self.fai[self.contigs[one.contig]].part(one.start, one.end) for one in regions)
        ranges = file_ranges.merge(wanted, self.stored_genome.size, file_ranges.MAX_GAP)
        return partial_reads.download(self.stored_genome, self.genome, ranges)

    def fasta(self, regions: Iterable[Span]) -> str:
        """Return the bases of these regions, which were copied, as pieces that do not overlap."""
        named = (Interval(self.contigs[contig], start, end) for contig, start, end in sorted(regions))
        return "".join(self._piece(*one) for one in bed.merge(named))

    def read_bases(self, name: str, start: int, end: int) -> str:
        """Return those of the bases from `start` to before `end` that the contig has; they were copied."""
        first, last = self.fai[name].part(start, end)
        with self.genome.open("rb") as file:
            file.seek(first)
            return "".join(file.read(max(0, last - first)).decode("ascii", "replace").split())

    def _piece(self, name: str, start: int, end: int) -> str:
        bases = self.read_bases(name, start, end)
        return f">{name}:{start + 1}-{end} @len={self.fai[name].length}\n{bases}\n"


def read_fai(path: Path) -> dict[str, Contig]:
    """Return the index of a FASTA."""
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {name: Contig(*map(int, numbers)) for name, *numbers in rows}


def open_aligned(work: Workspace, outputs: Mapping[str, Mapping[str, Any]]) -> Aligned:
    """Fetch the indexes of the aligned reads and of the genome."""
    output, genome = outputs["bam"], work.args.reference
    uri = S3Uri.parse(output["uri"])
    reads = work / f"reads.{format_of(uri)}"
    index = outputs[f"bam{index_of(uri)}"]
    path = work.fetch(S3Uri.parse(index["uri"]), name=f"{reads.name}{index_of(uri)}", etag=index["etag"])
    fai = work.fetch_reference_file(genome.companion(".fai"))
    copied = work / f"parts.{genome.name}"  # of another name than the genome, which steps of one job share
    companion_path(copied, ".fai").write_bytes(fai.read_bytes())
    rows = read_fai(fai)
    names = list(contig_lengths(work / f"{STATS}.idxstats") or rows)
    stored = s3.store().expected(uri, **s3.expected_of(output))
    stored_genome = s3.store().expected(genome, **s3.expected_of(work.pin_of(genome) or {}))
    found = partial_reads.open_index(path, stored.size)
    return Aligned(stored, found, reads, stored_genome, copied, names, rows)
