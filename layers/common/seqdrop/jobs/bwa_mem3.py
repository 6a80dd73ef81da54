"""Align reads with bwa-mem3 into a BAM stream. containers/reference/bwa_mem3_index.py writes its index."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import compress, islice
from pathlib import Path
from pickle import PickleBuffer
from typing import Any, BinaryIO, Self, TypeVar

from seqdrop.fastq import reader
from seqdrop.fastq.pairs import Check, Facts, Mates, Pairs, Start, first
from seqdrop.fastq.reader import Text
from seqdrop.fastq.records import Batch
from seqdrop.jobs import bam_counts, single_reads
from seqdrop.jobs.bam_counts import Counts
from seqdrop.jobs.division import Division
from seqdrop.jobs.forked import Forked

Result = TypeVar("Result")
Progress = Callable[[int], None]
Texts = tuple[Text, ...]  # of a batch of R1 and R2, or of one file
Orientation = tuple[int, int, bool, float, float]  # low, high, failed, average, standard deviation
ORIENTATIONS = ("FF", "FR", "RF", "RR")
NO_INSERT_SIZE: list[Orientation] = [(0, 0, True, 0.0, 0.0)] * len(ORIENTATIONS)  # no mate is searched near a read
INDEX = (".ann", ".amb", ".pac", ".0123", ".bwt.2bit.64")
ESTIMATE_BATCHES = 5  # the insert size is estimated once, from these, so that all batches use the same


class Aligner:
    """Processes that verify and align batches of reads, with one index in the memory that they share."""

    def __init__(self, index: Path, processes: int) -> None:
        """Load the index and fork the processes."""
        import bwa_mem3  # noqa: PLC0415  only the image of this tool has it

        self._genome = bwa_mem3.BwaIndex(str(index))
        self._forked: Forked[Any] = Forked("bwa-mem3", _Worker(self._genome), processes, ahead=2 * processes)

    def __enter__(self) -> Self:
        """Return the aligner itself."""
        return self

    def __exit__(self, *error: Any) -> None:
        """End the processes."""
        self._forked.close()

    def header(self, text: str) -> bytes:
        """Return the header of the BAM, with this text."""
        return _bam_header(text, self._genome.contigs())

    def align(
        self,
        lanes: Sequence[tuple[str, Pairs]],
        header: str,
        outs: Sequence[BinaryIO],
        progress: Progress | None = None,
        division: Division | None = None,
    ) -> None:
        """Align all lanes (read group, pairs) into one uncompressed BAM, in the order of the reads, mates together.

        The output does not depend on the number of processes: all batches have the same size, and the insert size of a
        lane is estimated from its first batches. `progress` gets the number of reads in each batch that is aligned.
        With a division, the records have mate fields and are divided: `outs` has a file for each region.
        Raises BadInputError, ToolError.
        """
        self._forked.call_each(_keep, division)  # once: it has two headers, which are long with many contigs
        for out in outs:
            out.write(division.fixed_header if division else self.header(header))
        for group, pairs in lanes:
            with pairs.texts() as texts, closing(self._align_lane(group, pairs, texts)) as results:
                for number, (by_region, facts) in enumerate(results):
                    if facts.pairs and pairs.count != number * reader.BATCH_SIZE:
                        raise AssertionError(f"batch {number} of {pairs.files} is not the last one, and not complete")
                    pairs.add(facts)
                    for out, records in zip(outs, by_region, strict=True):
                        out.write(records)
                    if progress:
                        progress(pairs.mates * facts.pairs)

    def count(self, bams: Sequence[Path]) -> Generator[Counts]:
        """Yield the counts of several BAMs, which the processes count at the same time."""
        return self._forked.map([(_count, bam) for bam in bams])

    def _align_lane(
        self, group: str, pairs: Pairs, texts: Iterator[Texts]
    ) -> Generator[tuple[Sequence[memoryview], Facts]]:
        first_texts, check = list(islice(texts, ESTIMATE_BATCHES)), pairs.check
        ((start, insert_size),) = self._forked.map([(_start_lane, group, check, list(map(_uncopied, first_texts)))])
        calls = (
            (
                _check_and_align, group, insert_size, check, _uncopied(batch), number * reader.BATCH_SIZE,
                start if number else None,
            )
            for number, batch in enumerate(_chain(first_texts, texts))
        )  # fmt: skip
        with closing(self._forked.map(calls)) as results:
            yield from results


class _Worker:
    """Hold the genome and the division of one process."""

    def __init__(self, genome: Any) -> None:
        self.genome = genome
        self.division: Division | None = None

    def __call__(self, task: Callable[..., Result], *arguments: Any) -> Result:
        """Do a task."""
        return task(self, *arguments)


def _keep(worker: _Worker, division: Division | None) -> None:
    worker.division = division


def _start_lane(
    worker: _Worker, group: str, check: Check, texts: Sequence[Texts]
) -> tuple[Start | None, list[Orientation]]:
    """Return what later batches are compared with, and the estimate of the insert size: none of single reads."""
    import bwa_mem3  # noqa: PLC0415

    start: Start | None = None
    pairs: list[Any] = []
    for number, batch in enumerate(texts):
        mates, _ = check(batch, number * reader.BATCH_SIZE, start)
        start = start or first(*mates)
        if len(mates) == Pairs.mates:
            pairs += _read_pairs(*mates)
    if not pairs:
        return start, NO_INSERT_SIZE
    return start, _parts_of(bwa_mem3.estimate_pestat(worker.genome, _options(group), pairs))


def _check_and_align(
    worker: _Worker, group: str, insert_size: Sequence[Orientation], check: Check, texts: Texts, before: int,
    start: Start | None,
) -> tuple[list[PickleBuffer], Facts]:  # fmt: skip
    """Verify the texts of a batch and return their BAM records: of each region, or all."""
    (mates, facts), division = check(texts, before, start), worker.division
    records = b"".join(_align(worker.genome, name, insert_size, some) for name, some in _by_group(group, mates))
    return list(map(PickleBuffer, division.divide(records) if division else [records])), facts


def _count(_: Any, bam: Path) -> Counts:
    return bam_counts.count_primary(bam)


def _by_group(group: str, mates: Mates) -> Iterator[tuple[str, Mates]]:
    """Yield the reads of each read group: one for a lane of FASTQs, those in the file for a BAM."""
    if not mates[0].groups:
        yield group, mates
        return
    for own in dict.fromkeys(mates[0].groups):
        yield own.decode(), tuple(_select(batch, [one == own for one in mates[0].groups]) for batch in mates)


def _select(batch: Batch, chosen: Sequence[bool]) -> Batch:
    names, sequences, qualities = (
        list(compress(column, chosen)) for column in (batch.names, batch.sequences, batch.qualities)
    )
    return Batch(names, sequences, qualities, batch.mate)


def _align(genome: Any, group: str, insert_size: Sequence[Orientation], mates: Mates) -> bytes:
    """Return the BAM records of reads of one read group."""
    import bwa_mem3  # noqa: PLC0415

    pairs = _read_pairs(*mates) if len(mates) == Pairs.mates else single_reads.with_mates(mates[0])
    records, _ = bwa_mem3.align_batch(genome, _options(group), pairs, _insert_size(insert_size))
    parts = (record.bytes for record in records)
    return b"".join(parts if len(mates) == Pairs.mates else single_reads.without_mates(parts))


def _uncopied(texts: Texts) -> tuple[list[PickleBuffer], ...]:
    """Return texts as they are sent to another process without a copy."""
    return tuple([PickleBuffer(block) for block in text] for text in texts)


def _options(group: str) -> Any:
    import bwa_mem3  # noqa: PLC0415

    options = bwa_mem3.MemOpts()
    options.set_pe(True)
    options.set_soft_clip_supplementary(True)  # `-Y`
    options.set_read_group_id(group)
    return options


def _parts_of(insert_size: Any) -> list[Orientation]:
    """Return an insert size as values that can be sent to another process."""
    parts = [insert_size.orientation(name) for name in ORIENTATIONS]
    return [(part.low, part.high, part.failed, part.avg, part.std) for part in parts]


def _insert_size(parts: Sequence[Orientation]) -> Any:
    import bwa_mem3  # noqa: PLC0415

    insert_size = bwa_mem3.MemPeStat()
    for name, part in zip(ORIENTATIONS, parts, strict=True):
        insert_size.set_orientation(name, bwa_mem3.PeOrient(*part))
    return insert_size


def _read_pairs(one: Batch, two: Batch) -> list[Any]:
    from bwa_mem3 import ReadPair  # noqa: PLC0415

    return list(map(ReadPair, one.names, one.sequences, two.names, two.sequences, one.qualities, two.qualities))


def _chain(first_texts: list[Texts], rest: Iterable[Texts]) -> Iterator[Texts]:
    while first_texts:
        yield first_texts.pop(0)  # removed, so that an aligned batch can be freed
    yield from rest


def _bam_header(header: str, contigs: Sequence[tuple[str, int]]) -> bytes:
    text = header.encode()
    parts = [b"BAM\1", struct.pack("<i", len(text)), text, struct.pack("<i", len(contigs))]
    for name, length in contigs:
        name_bytes = name.encode() + b"\0"
        parts += [struct.pack("<i", len(name_bytes)), name_bytes, struct.pack("<i", length)]
    return b"".join(parts)
