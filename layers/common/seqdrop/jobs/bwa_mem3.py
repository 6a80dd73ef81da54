"""Write the index of bwa-mem3, which its Python package can only read, and align reads with it into a BAM stream."""

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
_CHUNK = 1 << 24  # suffixes at a time, because the suffixes of a genome need most of the memory
_OCC_BLOCK, _SA_STEP = 64, 8  # of the index format: counts for every 64 bases, a position for every 8


def build_index(fasta: Path) -> None:
    """Write `.0123` and `.bwt.2bit.64` beside what `bwa index` wrote (`.pac`, `.ann`, `.amb`).

    The format is that of bwa-mem2 (FMI_search.cpp). `.0123` has both strands, one byte for each base. `.bwt.2bit.64`
    has the length; the number of each base; for every 64 bases of the BWT four counts and four bit masks; every eighth
    entry of the suffix array, as one and four bytes; and the row of the sentinel.
    Building it needs 19.6 bytes of memory for each base and strand, measured with 64-bit positions.
    """
    import numpy as np  # noqa: PLC0415  only the reference image has numpy and pydivsufsort
    from pydivsufsort import divsufsort  # noqa: PLC0415

    length = int(fasta.with_name(fasta.name + ".ann").read_text().split(maxsplit=1)[0])
    packed = np.fromfile(fasta.with_name(fasta.name + ".pac"), dtype=np.uint8)
    forward = np.stack([(packed >> shift) & 3 for shift in (6, 4, 2, 0)], axis=1).ravel()[:length]
    text = np.concatenate([forward, 3 - forward[::-1]])
    text.tofile(fasta.with_name(fasta.name + ".0123"))
    suffixes = divsufsort(text)  # without the empty suffix, the first of the format: row r here is its row r + 1
    bwt, sentinel = _transform(text, suffixes)
    sampled = np.zeros((len(text) + 1) // _SA_STEP + 1, np.int64)
    sampled[0] = len(text)
    every = suffixes[_SA_STEP - 1 :: _SA_STEP]
    sampled[1 : 1 + len(every)] = every
    with fasta.with_name(fasta.name + ".bwt.2bit.64").open("wb") as out:
        np.int64(len(text) + 1).tofile(out)
        np.concatenate([[0], np.cumsum(np.bincount(text, minlength=4))]).astype(np.int64).tofile(out)
        _occurrences(bwt).tofile(out)
        (sampled >> 32).astype(np.int8).tofile(out)
        (sampled & 0xFFFFFFFF).astype(np.uint32).tofile(out)
        np.int64(sentinel).tofile(out)


def _transform(text: Any, suffixes: Any) -> tuple[Any, int]:
    """Return the Burrows-Wheeler transform, padded to full blocks with 4 (no base), and the row of the sentinel."""
    import numpy as np  # noqa: PLC0415

    bwt = np.full(((len(text) + 1) // _OCC_BLOCK + 1) * _OCC_BLOCK, 4, np.uint8)
    bwt[0] = text[-1]
    sentinel = 0
    for start in range(0, len(text), _CHUNK):
        part = suffixes[start : start + _CHUNK]
        bwt[start + 1 : start + 1 + len(part)] = text[part - 1]
        if len(ends := np.flatnonzero(part == 0)):
            sentinel = start + 1 + int(ends[0])
    bwt[sentinel] = 4
    return bwt, sentinel


def _occurrences(bwt: Any) -> Any:
    """Return, for every block, the count of each base before it and a bit mask of its positions in the block."""
    import numpy as np  # noqa: PLC0415

    blocks = np.zeros((len(bwt) // _OCC_BLOCK, 8), np.uint64)
    for base in range(4):
        bits = (bwt == base).reshape(-1, _OCC_BLOCK)
        blocks[1:, base] = np.cumsum(bits.sum(axis=1))[:-1]
        blocks[:, 4 + base] = np.packbits(bits, axis=1).view(">u8").ravel()
    return blocks


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
