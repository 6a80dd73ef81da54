"""Align reads with bwa-mem3 into a BAM stream. containers/reference/bwa_mem3_index.py writes its index."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from seqdrop.fastq.records import Batch

Batches = Iterable[tuple[Batch, Batch]]
INDEX = (".ann", ".amb", ".pac", ".0123", ".bwt.2bit.64")
ESTIMATE_BATCHES = 5  # the insert size is estimated once, from these, so that all batches use the same


def align(index: Path, lanes: Sequence[tuple[str, Batches]], header: str, threads: int, out: BinaryIO) -> None:
    """Align all lanes (read group, batches) into one uncompressed BAM, in the order of the reads, mates together.

    The output does not depend on the number of threads: all batches have the same size, and the insert size of a lane
    is estimated from its first batches.
    """
    import bwa_mem3  # noqa: PLC0415  only the image of this tool has it

    genome = bwa_mem3.BwaIndex(str(index))
    out.write(_bam_header(header, genome.contigs()))
    with ThreadPoolExecutor(threads) as pool:
        try:
            for group, batches in lanes:
                _align_lane(genome, _options(group), map(_read_pairs, batches), pool, 2 * threads, out)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # do not start batches that wait
            raise


def _options(group: str) -> Any:
    import bwa_mem3  # noqa: PLC0415

    options = bwa_mem3.MemOpts()
    options.set_pe(True)
    options.set_soft_clip_supplementary(True)  # `-Y`
    options.set_read_group_id(group)
    return options


def _align_lane(
    genome: Any, options: Any, batches: Iterator[list[Any]], pool: Executor, limit: int, out: BinaryIO
) -> None:
    """Align one lane, with at most `limit` batches in memory."""
    import bwa_mem3  # noqa: PLC0415

    first = list(islice(batches, ESTIMATE_BATCHES))
    insert_size = bwa_mem3.estimate_pestat(genome, options, [pair for batch in first for pair in batch])
    jobs = (pool.submit(bwa_mem3.align_batch, genome, options, batch, insert_size) for batch in _chain(first, batches))
    for job in _in_order(jobs, limit):
        out.writelines(record.bytes for record in job.result()[0])


def _read_pairs(batch: tuple[Batch, Batch]) -> list[Any]:
    from bwa_mem3 import ReadPair  # noqa: PLC0415

    one, two = batch
    return list(map(ReadPair, one.names, one.sequences, two.names, two.sequences, one.qualities, two.qualities))


def _chain(first: list[list[Any]], rest: Iterable[list[Any]]) -> Iterator[list[Any]]:
    while first:
        yield first.pop(0)  # removed, so that an aligned batch can be freed
    yield from rest


def _in_order(jobs: Iterator[Future[Any]], limit: int) -> Iterator[Future[Any]]:
    """Yield jobs in order and start another for each, so that at most `limit` are in memory."""
    waiting = deque(islice(jobs, limit))
    while waiting:
        yield waiting.popleft()
        waiting.extend(islice(jobs, 1))


def _bam_header(header: str, contigs: Sequence[tuple[str, int]]) -> bytes:
    text = header.encode()
    parts = [b"BAM\1", struct.pack("<i", len(text)), text, struct.pack("<i", len(contigs))]
    for name, length in contigs:
        name_bytes = name.encode() + b"\0"
        parts += [struct.pack("<i", len(name_bytes)), name_bytes, struct.pack("<i", length)]
    return b"".join(parts)
