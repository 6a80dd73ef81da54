"""Verify the reads of every lane and write them as Isaac reads them correctly.

Isaac cuts or pads reads to the length of the first one unless a mask has the length of the longest one, cuts names that
are longer than the first one, keeps `/1` and `/2`, and reads a flowcell from the comments. It ends on bases and
qualities that FASTQ allows, and on BGZF followed by plain gzip. So it gets files written here, with checked reads, and
masks of known lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from isal import igzip
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq.pairs import interleave
from seqdrop.fastq.records import Batch
from seqdrop.jobs.alignment import Lane, count_known, verified_batches
from seqdrop.jobs.workspace import Workspace

SHEET_HEADER = "FCID,Lane,SampleID,SampleRef,Barcode,Description,Control,Recipe,Operator,Project"
LANES_OF_ISAAC = 8  # its default of --lane-number-max
BASES = b"ACGTNacgtn."
MAX_QUALITY = 63
QUALITIES = bytes(range(33, 33 + MAX_QUALITY + 1))
NAME_SLACK = 10  # letters of a name beyond the length of the first one
ADVICE = "use bwa_mem3 or bwa"


@dataclass(frozen=True, slots=True)
class Input:
    """A lane as Isaac reads it."""

    folder: Path
    mask: str  # the lengths of the longest reads of both mates: y148,y100
    sheet: Path
    pairs: int


def write_inputs(work: Workspace, lanes: Sequence[Lane]) -> list[Input]:
    """Verify, count and write the reads of all lanes, and delete the files they came from; raise BadInputError."""
    return [_write_lane(work, number, lane) for number, lane in enumerate(lanes, start=1)]


def _write_lane(work: Workspace, number: int, lane: Lane) -> Input:
    folder = work / f"lane{number}"
    folder.mkdir()
    sources = (lane.fastq_1, lane.fastq_2)
    longest, pairs, known, name_limit = [0, 0], 0, 0, 0
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(len(sources)))
        paths = [folder / f"lane{number}_read{mate}.fastq.gz" for mate in (1, 2)]
        outs = [stack.enter_context(igzip.open(path, "wb", compresslevel=1)) for path in paths]
        for mates in stack.enter_context(closing(verified_batches(work, lane))):
            name_limit = name_limit or len(mates[0].names[0]) + NAME_SLACK
            for mate, (batch, source) in enumerate(zip(mates, sources, strict=True)):
                _check(batch, source.name, pairs, name_limit)
                longest[mate] = max(longest[mate], *map(len, batch.sequences))
            pairs, known = pairs + len(mates[0]), known + sum(map(count_known, mates))
            list(threads.map(lambda out, batch: out.write(_text(batch)), outs, mates))
    work.counts["known_bases"] = work.counts.get("known_bases", 0) + known
    for source in sources:
        source.unlink()
    return Input(folder, f"y{longest[0]},y{longest[1]}", _write_sheet(work, number, lane), pairs)


def _check(batch: Batch, file: str, reads_before: int, name_limit: int) -> None:
    """Raise BadInputError for the first read that Isaac ends on, or whose name it would cut."""
    kinds: list[tuple[Iterable[bytes], bytes, str]] = [
        (batch.sequences, BASES, f"a base other than A, C, G, T and N, which Isaac does not read: {ADVICE}"),
        (batch.qualities, QUALITIES, f"a quality above {MAX_QUALITY}, which Isaac does not read: {ADVICE}"),
    ]
    for column, allowed, description in kinds:
        if b"".join(column).translate(None, allowed):
            place = next(place for place, text in enumerate(column) if text.translate(None, allowed))
            raise _refused(batch, file, reads_before, place, description)
    if max(map(len, batch.names)) > name_limit:
        place = next(place for place, name in enumerate(batch.names) if len(name) > name_limit)
        description = f"a name more than {NAME_SLACK} letters longer than that of the first read, which Isaac cuts"
        raise _refused(batch, file, reads_before, place, f"{description}: {ADVICE}")


def _refused(batch: Batch, file: str, reads_before: int, place: int, description: str) -> BadInputError:
    name = batch.names[place].decode()
    return BadInputError("ALIGNER", f"{file}: read {reads_before + place + 1:,} ({name}) has {description}")


def _text(batch: Batch) -> bytes:
    """Return a batch as FASTQ, with N in place of the dots of old sequencers."""
    if b"." in b"".join(batch.sequences):
        batch = Batch(batch.names, [seq.replace(b".", b"N") for seq in batch.sequences], batch.qualities, batch.mate)
    return interleave(batch)


def _write_sheet(work: Workspace, number: int, lane: Lane) -> Path:
    flowcell = lane.read_group.rpartition(".")[0]
    sheet = work / f"sheet{number}.csv"
    row = f"{flowcell},{number},{lane.sample},default,,{lane.sample},N,,seqdrop,default"
    sheet.write_text(f"{SHEET_HEADER}\n{row}\n")
    return sheet
