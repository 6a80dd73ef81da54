"""bwa-mem3 as a library: its index, which the wheel reads but does not write, and its alignments as a BAM stream."""

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
ESTIMATE = 5  # batches from which the insert size is learned, once, so that no later batch depends on chance
_CHUNK = 1 << 24  # suffixes at a time: a genome's take most of the memory as it is
_OCC_BLOCK, _SA_STEP = 64, 8  # as the index format has them: one count for 64 bases, one position for 8


def build_index(fasta: Path) -> None:
    """Write `.0123` and `.bwt.2bit.64` beside what `bwa index` wrote (`.pac`, `.ann`, `.amb`).

    The format is bwa-mem2's (FMI_search.cpp): both strands as bytes; then the length, the counts of bases, for
    every 64 bases of the BWT four counts and four bit masks, every eighth entry of the suffix array as one and four
    bytes, and where the sentinel stands. Needs about 11 bytes of memory a base and strand.
    """
    import numpy as np  # noqa: PLC0415  with pydivsufsort: in the reference image alone
    from pydivsufsort import divsufsort  # noqa: PLC0415

    length = int(fasta.with_name(fasta.name + ".ann").read_text().split(maxsplit=1)[0])
    packed = np.fromfile(fasta.with_name(fasta.name + ".pac"), dtype=np.uint8)
    forward = np.stack([(packed >> shift) & 3 for shift in (6, 4, 2, 0)], axis=1).ravel()[:length]
    text = np.concatenate([forward, 3 - forward[::-1]])
    text.tofile(fasta.with_name(fasta.name + ".0123"))
    suffixes = divsufsort(text)  # without the empty suffix, which the format has first: row r here is row r + 1 there
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
    """The Burrows-Wheeler transform, filled up to whole blocks with 4 (no base), and the row of the sentinel."""
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
    """For every block of the transform: how often each base came before it, and a mask of where each stands in it."""
    import numpy as np  # noqa: PLC0415

    blocks = np.zeros((len(bwt) // _OCC_BLOCK, 8), np.uint64)
    for base in range(4):
        bits = (bwt == base).reshape(-1, _OCC_BLOCK)
        blocks[1:, base] = np.cumsum(bits.sum(axis=1))[:-1]
        blocks[:, 4 + base] = np.packbits(bits, axis=1).view(">u8").ravel()
    return blocks


def align(index: Path, lanes: Sequence[tuple[str, Batches]], header: str, threads: int, out: BinaryIO) -> None:
    """Align all lanes (read group, batches) into one uncompressed BAM, mates side by side, in the order of the reads.

    The same bytes for any number of threads: batches are of one size, and each lane's insert size is learned from
    its first batches and given to all of them.
    """
    import bwa_mem3  # noqa: PLC0415  compiled: in this tool's image alone

    genome = bwa_mem3.BwaIndex(str(index))
    out.write(_bam_header(header, genome.contigs()))
    with ThreadPoolExecutor(threads) as pool:
        try:
            for group, batches in lanes:
                _align_lane(genome, _options(group), map(_read_pairs, batches), pool, 2 * threads, out)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what waits is never begun
            raise


def _options(group: str) -> Any:
    import bwa_mem3  # noqa: PLC0415

    options = bwa_mem3.MemOpts()
    options.set_pe(True)
    options.set_soft_clip_supplementary(True)  # `-Y`
    options.set_read_group_id(group)
    return options


def _align_lane(
    genome: Any, options: Any, batches: Iterator[list[Any]], pool: Executor, most: int, out: BinaryIO
) -> None:
    """`most` batches are under way at a time."""
    import bwa_mem3  # noqa: PLC0415

    first = list(islice(batches, ESTIMATE))
    insert_size = bwa_mem3.estimate_pestat(genome, options, [pair for batch in first for pair in batch])
    work = (pool.submit(bwa_mem3.align_batch, genome, options, batch, insert_size) for batch in _chain(first, batches))
    for done in _in_order(work, most):
        out.writelines(record.bytes for record in done.result()[0])


def _read_pairs(batch: tuple[Batch, Batch]) -> list[Any]:
    from bwa_mem3 import ReadPair  # noqa: PLC0415

    one, two = batch
    return list(map(ReadPair, one.names, one.sequences, two.names, two.sequences, one.qualities, two.qualities))


def _chain(first: list[list[Any]], rest: Iterable[list[Any]]) -> Iterator[list[Any]]:
    while first:
        yield first.pop(0)  # popped, so that a batch is freed once it is aligned
    yield from rest


def _in_order(work: Iterator[Future[Any]], most: int) -> Iterator[Future[Any]]:
    """Hand out in order what is under way: memory stays flat."""
    waiting = deque(islice(work, most))
    while waiting:
        yield waiting.popleft()
        waiting.extend(islice(work, 1))


def _bam_header(header: str, contigs: Sequence[tuple[str, int]]) -> bytes:
    text = header.encode()
    parts = [b"BAM\1", struct.pack("<i", len(text)), text, struct.pack("<i", len(contigs))]
    for name, length in contigs:
        name_bytes = name.encode() + b"\0"
        parts += [struct.pack("<i", len(name_bytes)), name_bytes, struct.pack("<i", length)]
    return b"".join(parts)
