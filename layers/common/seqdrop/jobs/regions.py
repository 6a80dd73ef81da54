"""Find the regions of a run, and split them or the genome into pieces that a caller takes in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import bed, ploidy
from seqdrop.plan.bed import Interval
from seqdrop.plan.extras import PADDING
from seqdrop.plan.names import INTERVALS, INTERVALS_CHECKSUM

# The pieces depend on the genome and on the targets alone, so that the calls do not depend on the size of the job.
MAX_PIECES = 256  # of about the same size: four for each core of a large job
# Bases. For a smaller piece, the start of the programs takes longer than it saves. Targets have deeper reads.
MIN_PIECE_SIZE, MIN_PIECE_SIZE_OF_TARGETS = 200_000, 20_000
SIZE_PER_CONTIG = 100  # more bases in a piece: every program reads and writes the header with all contigs
MAX_GAP = 2_000  # bases between two intervals that are read at once, since that is quicker than two searches in a BAM

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the genome for one process, as BED files.

    BED files, because contig names can have colons (HLA): `contig:start-end` is ambiguous with these.
    """

    targets: Path  # where to call
    spans: Path  # what to read for that: the targets with their neighbour bases and the short gaps between them


def fetch_intervals(work: Workspace, reference: Path, *, padded: bool = False) -> Path:
    """Download the BED file of a run; return one with only its regions, in the order of the contigs.

    `padded`: with the padding of the panel of the run.

    Raise JobError if it is not the file that the run started with, BadInputError if it is not a BED file.
    """
    source = work.fetch(work.args.intervals, name=INTERVALS)
    if work.pinned(INTERVALS_CHECKSUM) not in {None, bed.checksum(source.read_bytes())}:
        raise JobError("RESULTS_CHANGED", f"{INTERVALS} was replaced after the run started")
    lengths = contig_lengths(reference)
    try:
        with source.open("rb") as file:
            targets = bed.intervals(file, INTERVALS, lengths)
    except bed.BedError as error:
        raise BadInputError("INTERVALS", str(error)) from None
    padding = int(work.pinned(PADDING) or 0) if padded else 0
    return write_bed(work / "targets.bed", bed.pad(targets, padding, lengths))


def contig_lengths(reference: Path) -> dict[str, int]:
    """Return the lengths of the contigs in the order of the reference, from its `.fai` index."""
    fields = (line.split("\t") for line in Path(f"{reference}.fai").read_text().splitlines())
    return {name: int(length) for name, length, *_ in fields}


def write_bed(path: Path, intervals: Iterable[Interval]) -> Path:
    """Write a BED file; return its path."""
    path.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in intervals))
    return path


def split(intervals: Sequence[Interval], min_size: int) -> Iterator[list[Interval]]:
    """Yield pieces of about the same number of bases, in order: small intervals share a piece, large ones are cut."""
    size = max(min_size, -(-sum(end - start for _, start, end in intervals) // MAX_PIECES))
    piece, filled = list[Interval](), 0
    for contig, start, end in intervals:
        for first in range(start, end, size):
            part = Interval(contig, first, min(first + size, end))
            if piece and filled + part.end - part.start > size:
                yield piece
                piece, filled = [], 0
            piece.append(part)
            filled += part.end - part.start
    if piece:
        yield piece


def of_part(pieces: Sequence[Item], index: int, parts: int) -> Sequence[Item]:
    """Return the pieces of one of the parts, which have about the same number of them; none if there are too few."""
    return pieces[index * len(pieces) // parts : (index + 1) * len(pieces) // parts]


def write_pieces(work: Workspace, reference: Path, targets: Path | None) -> list[Piece]:
    """Write the BED files of all pieces of the genome, or of the targets of the run."""
    lengths = contig_lengths(reference)
    whole = [Interval(contig, 0, length) for contig, length in lengths.items()]
    intervals = read_bed(targets) if targets else whole
    min_size = MIN_PIECE_SIZE_OF_TARGETS if targets else MIN_PIECE_SIZE
    min_size += SIZE_PER_CONTIG * (len(lengths) - 1)
    pieces = []
    for number, piece in enumerate(split(intervals, min_size)):
        # One base more on each side: some versions of mpileup omit reads that begin at the last base of a region.
        wider = [Interval(name, max(0, start - 1), min(end + 1, lengths[name])) for name, start, end in piece]
        part = write_bed(work / f"{number}.targets.bed", piece)
        pieces.append(Piece(part, write_bed(work / f"{number}.spans.bed", bed.merge(wider, MAX_GAP))))
    return pieces


def spans_of(pieces: Iterable[Piece]) -> list[Interval]:
    """Return the spans of several pieces, merged."""
    return list(bed.merge(span for piece in pieces for span in read_bed(piece.spans)))


def read_bed(path: Path) -> list[Interval]:
    """Read a BED file that `write_bed` wrote."""
    lines = (line.split("\t") for line in path.read_text().splitlines())
    return [Interval(contig, int(start), int(end)) for contig, start, end in lines]


def fetch_haploid(work: Workspace, reference: Path) -> list[Interval]:
    """Return the haploid parts of the reference by its reference.json; raise BadInputError."""
    try:
        return ploidy.haploid(work.reference, contig_lengths(reference))
    except ValueError as error:
        raise BadInputError("REFERENCE", str(error)) from None
