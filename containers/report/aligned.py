"""Copy the reads and the bases of a few regions of a run, without the rest of its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdrop.jobs.alignment_file import format_of, index_of
from seqdrop.jobs.workspace import Workspace, companion_path
from seqdrop.plan.names import CRAM
from seqdrop.storage.uri import S3Uri

from containers.report import parts
from containers.report.holes import Contig, copy, read_fai
from containers.report.parts import BamIndex, CramIndex, Part, Region
from containers.report.sources import STATS, contig_lengths


@dataclass
class Aligned:
    """The aligned reads of a run and its genome, of which parts are copied."""

    output: Mapping[str, Any]  # of the receipt
    index: BamIndex | CramIndex
    reads: Path  # the copy, beside its index
    genome: Path  # the copy, beside its index
    source: S3Uri  # of the genome
    pin: Mapping[str, str]  # its version
    contigs: list[str]  # in the order of the header
    fai: Mapping[str, Contig]

    def region(self, contig: str, start: int, end: int) -> Region:
        """Return those of these bases that the contig has."""
        return Region(self.contigs.index(contig), max(0, start), min(end, self.fai[contig].length))

    def size_of(self, region: Region) -> int:
        """Return how many bytes the reads of a region take, with the bases of the genome that decoding needs."""
        found = self.index.parts(region, self.output["size"])
        return sum(end - start for start, end in found) + sum(one.end - one.start for one in self.index.bases(region))

    def copy_reads(self, regions: Sequence[Region]) -> None:
        """Copy the header and the reads of these regions."""
        size = self.output["size"]
        wanted = [self.index.header(size), (max(0, size - parts.BLOCK), size)]
        wanted += [part for region in regions for part in self.index.parts(region, size)]
        copy(S3Uri.parse(self.output["uri"]), self.output.get("version_id", ""), size, wanted, self.reads)

    def copy_genome(self, regions: Iterable[Region]) -> None:
        """Copy the bases of these regions."""
        wanted = [self._contig(one).part(one.start, min(one.end, self._contig(one).length)) for one in regions]
        size = max(contig.part(0, contig.length)[1] for contig in self.fai.values())
        copy(self.source, self.pin.get("version_id", ""), size, wanted, self.genome)

    def fasta(self, regions: Iterable[Region]) -> str:
        """Return the bases of these regions, which were copied, as pieces that do not overlap."""
        places = dict[int, list[Part]]()
        for region in regions:
            places.setdefault(region.contig, []).append((region.start, region.end))
        return "".join(self._piece(number, *one) for number, found in places.items() for one in parts.merge(found))

    def _piece(self, number: int, start: int, end: int) -> str:
        name, contig = self.contigs[number], self.fai[self.contigs[number]]
        first, last = contig.part(start, end)
        with self.genome.open("rb") as file:
            file.seek(first)
            bases = "".join(file.read(last - first).decode().split())
        return f">{name}:{start + 1}-{end} @len={contig.length}\n{bases}\n"

    def _contig(self, region: Region) -> Contig:
        return self.fai[self.contigs[region.contig]]


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
    if format_of(uri) == CRAM:
        found: BamIndex | CramIndex = parts.read_crai(path.read_bytes())
    else:
        found = parts.read_bai(path.read_bytes())
    return Aligned(output, found, reads, copied, genome, work.pin_of(genome) or {}, names, rows)
