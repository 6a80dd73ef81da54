"""Verify the reads of every lane and write them as Isaac reads them correctly.

Isaac cuts or pads reads to the length of the first one unless a mask has the length of the longest one, cuts names that
are longer than the first one, keeps `/1` and `/2`, and reads a flowcell from the comments. It ends on bases and
qualities that FASTQ allows, and on BGZF followed by plain gzip. So it gets files written here, with checked reads, and
masks of known lengths.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from isal import igzip
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.pairs import Pairs, interleave
from seqdrop.fastq.records import Batch
from seqdrop.jobs.alignment import Lane, count_known, verified_batches
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan.names import SINGLE

SHEET_HEADER = "FCID,Lane,SampleID,SampleRef,Barcode,Description,Control,Recipe,Operator,Project"
LANES_OF_ISAAC = 8  # its default of --lane-number-max
BASES = b"ACGTNacgtn."
MAX_QUALITY = 63
QUALITIES = bytes(range(33, 33 + MAX_QUALITY + 1))
NAME_SLACK = 10  # letters of a name beyond the length of the first one
OTHER_ALIGNER = "use bwa_mem3 or bwa"
NO_BASE = "a base other than A, C, G, T and N, which Isaac does not read"
NO_QUALITY = f"a quality above {MAX_QUALITY}, which Isaac does not read"
LONG_NAME = f"a name more than {NAME_SLACK} letters longer than that of the first read, which Isaac cuts"


@dataclass(frozen=True, slots=True)
class Input:
    """A lane as Isaac reads it."""

    folder: Path
    mask: str  # the lengths of the longest reads of both mates: y148,y100
    sheet: Path
    pairs: int


def write_inputs(work: Workspace, lanes: Sequence[Lane]) -> list[Input]:
    """Verify, count and write the reads of all lanes, and delete the files they came from; raise BadInputError."""
    for lane in lanes:
        if lane.layout == SINGLE or len(lane.rg_lines) > 1:
            what = "single-end reads" if lane.layout == SINGLE else f"{len(lane.rg_lines)} read groups in one file"
            file = lane.files[0].name
            raise BadInputError("ALIGNER", f"{file} has {what}, which Isaac is not given: {OTHER_ALIGNER}")
    return [_write_lane(work, number, lane) for number, lane in enumerate(lanes, start=1)]


def _write_lane(work: Workspace, number: int, lane: Lane) -> Input:
    folder = work / f"lane{number}"
    folder.mkdir()
    sources = lane.paths * (1 if len(lane.paths) == Pairs.mates else Pairs.mates)  # both mates may be in one file
    mates = [_Mate(source, folder / f"lane{number}_read{mate}.fastq.gz")
             for mate, source in enumerate(sources, start=1)]  # fmt: skip
    with ExitStack() as stack:
        for mate in mates:
            stack.callback(mate.out.close)
        threads = stack.enter_context(ThreadPoolExecutor(len(mates)))
        pairs = stack.enter_context(closing(verified_batches(work, lane)))
        try:
            for batches in pairs:
                list(threads.map(_Mate.write, mates, batches))
        except BadInputError:
            deque(pairs, maxlen=0)  # damaged gzip data can look like such reads until its checksum, which raises
            raise
    work.counts["known_bases"] = work.counts.get("known_bases", 0) + sum(mate.known for mate in mates)
    for path in lane.paths:
        path.unlink()
    mask = ",".join(f"y{mate.longest}" for mate in mates)
    return Input(folder, mask, _write_sheet(work, number, lane), mates[0].reads)


class _Mate:
    """One FASTQ file for Isaac, and what is known of its reads."""

    def __init__(self, source: Path, target: Path) -> None:
        self.source, self.out = source, igzip.open(target, "wb", compresslevel=1)
        self.reads = self.longest = self.known = self._name_limit = 0

    def write(self, batch: Batch) -> None:
        """Check the reads of a batch and add them to the file; raise BadInputError."""
        bases, qualities = b"".join(batch.sequences), b"".join(batch.qualities)
        self._name_limit = self._name_limit or len(batch.names[0]) + NAME_SLACK
        self._check(batch, bases, qualities)
        self.reads += len(batch)
        self.longest = max(self.longest, *map(len, batch.sequences))
        self.known += count_known(bases, qualities)
        if b"." in bases:  # N of old sequencers
            sequences = [sequence.replace(b".", b"N") for sequence in batch.sequences]
            batch = Batch(batch.names, sequences, batch.qualities, batch.mate)
        self.out.write(interleave(batch))

    def _check(self, batch: Batch, bases: bytes, qualities: bytes) -> None:
        """Raise BadInputError for the first read that Isaac ends on, or whose name it would cut."""
        if bases.translate(None, BASES):
            raise self._refused(batch, [not text.translate(None, BASES) for text in batch.sequences], NO_BASE)
        if qualities.translate(None, QUALITIES):
            raise self._refused(batch, [not text.translate(None, QUALITIES) for text in batch.qualities], NO_QUALITY)
        if max(map(len, batch.names)) > self._name_limit:
            raise self._refused(batch, [len(name) <= self._name_limit for name in batch.names], LONG_NAME)

    def _refused(self, batch: Batch, good: list[bool], reason: str) -> BadInputError:
        place = good.index(False)
        read = f"read {self.reads + place + 1:,} ({batch.names[place].decode()})"
        return BadInputError("ALIGNER", f"{self.source.name}: {read} has {reason}: {OTHER_ALIGNER}")


def _write_sheet(work: Workspace, number: int, lane: Lane) -> Path:
    flowcell = lane.read_group.rpartition(".")[0]
    sheet = work / f"sheet{number}.csv"
    row = f"{flowcell},{number},{lane.sample},default,,{lane.sample},N,,seqdrop,default"
    sheet.write_text(f"{SHEET_HEADER}\n{row}\n")
    return sheet
