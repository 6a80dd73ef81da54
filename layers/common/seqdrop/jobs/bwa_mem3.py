"""Align reads with bwa-mem3 into a BAM stream. containers/reference/bwa_mem3_index.py writes its index."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from pickle import PickleBuffer
from typing import Any, BinaryIO, Self, TypeVar

from seqdrop.fastq import reader
from seqdrop.fastq.pairs import Facts, Pairs, Start, check, first
from seqdrop.fastq.reader import Text
from seqdrop.fastq.records import Batch
from seqdrop.jobs.forked import Forked

Result = TypeVar("Result")
Files = tuple[str, str]  # the names of R1 and R2
Progress = Callable[[int], None]
Texts = tuple[Text, Text]  # of a batch of R1 and R2
Orientation = tuple[int, int, bool, float, float]  # low, high, failed, average, standard deviation
ORIENTATIONS = ("FF", "FR", "RF", "RR")
INDEX = (".ann", ".amb", ".pac", ".0123", ".bwt.2bit.64")
ESTIMATE_BATCHES = 5  # the insert size is estimated once, from these, so that all batches use the same


class Aligner:
    """Processes that verify and align batches of reads, with one index in the memory that they share."""

    def __init__(self, index: Path, processes: int) -> None:
        """Load the index and fork the processes."""
        import bwa_mem3  # noqa: PLC0415  only the image of this tool has it

        self._genome = bwa_mem3.BwaIndex(str(index))
        function = partial(_work, self._genome)
        self._forked: Forked[Any] = Forked("bwa-mem3", function, processes, ahead=2 * processes)

    def __enter__(self) -> Self:
        """Return the aligner itself."""
        return self

    def __exit__(self, *error: Any) -> None:
        """End the processes."""
        self._forked.__exit__(*error)

    def align(
        self, lanes: Sequence[tuple[str, Pairs]], header: str, out: BinaryIO, progress: Progress | None = None
    ) -> None:
        """Align all lanes (read group, pairs) into one uncompressed BAM, in the order of the reads, mates together.

        The output does not depend on the number of processes: all batches have the same size, and the insert size of a
        lane is estimated from its first batches. `progress` gets the number of reads in each batch that is aligned.
        Raises BadInputError, ToolError.
        """
        out.write(_bam_header(header, self._genome.contigs()))
        for group, pairs in lanes:
            with pairs.texts() as texts, closing(self._align_lane(group, pairs.files, texts)) as results:
                for number, (records, facts) in enumerate(results):
                    if facts.pairs and pairs.count != number * reader.BATCH_SIZE:
                        raise AssertionError(f"batch {number} of {pairs.files} is not the last one, and not complete")
                    pairs.add(facts)
                    out.write(records)
                    if progress:
                        progress(2 * facts.pairs)

    def _align_lane(self, group: str, files: Files, texts: Iterator[Texts]) -> Generator[tuple[memoryview, Facts]]:
        first_texts = list(islice(texts, ESTIMATE_BATCHES))
        ((start, insert_size),) = self._forked.map([(_start_lane, group, files, list(map(_uncopied, first_texts)))])
        calls = (
            (
                _check_and_align, group, insert_size, files, _uncopied(pair), number * reader.BATCH_SIZE,
                start if number else None,
            )
            for number, pair in enumerate(_chain(first_texts, texts))
        )  # fmt: skip
        with closing(self._forked.map(calls)) as results:
            yield from results


def _work(genome: Any, task: Callable[..., Result], *arguments: Any) -> Result:
    """Do a task in one of the processes."""
    return task(genome, *arguments)


def _start_lane(
    genome: Any, group: str, files: Files, texts: Sequence[Texts]
) -> tuple[Start | None, list[Orientation]]:
    """Return what later batches are compared with, and the estimate of the insert size."""
    import bwa_mem3  # noqa: PLC0415

    start: Start | None = None
    pairs: list[Any] = []
    for number, pair in enumerate(texts):
        one, two, _ = check(files, pair, number * reader.BATCH_SIZE, start)
        start = start or first(one, two)
        pairs += _read_pairs(one, two)
    return start, _parts_of(bwa_mem3.estimate_pestat(genome, _options(group), pairs))


def _check_and_align(
    genome: Any, group: str, insert_size: Sequence[Orientation], files: Files, texts: Texts, before: int,
    start: Start | None,
) -> tuple[PickleBuffer, Facts]:  # fmt: skip
    """Verify the texts of a batch and return their BAM records."""
    import bwa_mem3  # noqa: PLC0415

    one, two, facts = check(files, texts, before, start)
    records, _ = bwa_mem3.align_batch(genome, _options(group), _read_pairs(one, two), _insert_size(insert_size))
    return PickleBuffer(b"".join(record.bytes for record in records)), facts


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
