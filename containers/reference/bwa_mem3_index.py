"""Write the index of bwa-mem3, whose Python package can only read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_PIECE = 1 << 18  # bases or positions at a time: temporary arrays stay small beside the suffixes
_OCC_BLOCK, _SA_STEP = 64, 8  # of the index format: counts for every 64 bases, a position for every 8


def build_index(fasta: Path, *, force64: bool = False) -> None:
    """Write `.0123` and `.bwt.2bit.64` beside what `bwa fa2pac -f` wrote (`.pac`, `.ann`, `.amb`).

    The format is that of bwa-mem2 (FMI_search.cpp). `.0123` has both strands, one byte for each base. `.bwt.2bit.64`
    has the length; the number of each base; for every 64 bases of the BWT four counts and four bit masks; every eighth
    entry of the suffix array, as one and four bytes; and the row of the sentinel.
    Building it needs 10.8 bytes of memory for each base and strand with positions of 64 bits, which a genome over 1 Gb
    has; `force64` uses them for a smaller one. Raises MemoryError.
    """
    import numpy as np  # noqa: PLC0415  only the reference image has numpy and pydivsufsort
    from pydivsufsort import divsufsort  # noqa: PLC0415

    text = _both_strands(fasta)
    text.tofile(fasta.with_name(fasta.name + ".0123"))
    counts = sum(np.bincount(text[piece], minlength=4) for piece in _pieces(len(text)))
    suffixes = divsufsort(text, force64)  # without the empty suffix, the first of the format: row r here is its row r+1
    bwt, sentinel = _transform(text, suffixes)
    high, low = _sample(suffixes)
    del suffixes  # first: they need most of the memory
    with fasta.with_name(fasta.name + ".bwt.2bit.64").open("wb") as out:
        np.int64(len(text) + 1).tofile(out)
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64).tofile(out)
        _write_occurrences(bwt, out)
        high.tofile(out)
        low.tofile(out)
        np.int64(sentinel).tofile(out)


def _pieces(length: int) -> Iterator[slice]:
    yield from (slice(start, min(start + _PIECE, length)) for start in range(0, length, _PIECE))


def _both_strands(fasta: Path) -> Any:
    """Return the bases of both strands as 0 to 3, from the file that has four of them in a byte."""
    import numpy as np  # noqa: PLC0415

    length = int(fasta.with_name(fasta.name + ".ann").read_text().split(maxsplit=1)[0])
    packed = np.fromfile(fasta.with_name(fasta.name + ".pac"), dtype=np.uint8)
    forward = np.stack([(packed >> shift) & 3 for shift in (6, 4, 2, 0)], axis=1).ravel()[:length]
    return np.concatenate([forward, 3 - forward[::-1]])


def _transform(text: Any, suffixes: Any) -> tuple[Any, int]:
    """Return the Burrows-Wheeler transform, padded to full blocks with 4 (no base), and the row of the sentinel."""
    import numpy as np  # noqa: PLC0415

    bwt = np.full(((len(text) + 1) // _OCC_BLOCK + 1) * _OCC_BLOCK, 4, np.uint8)
    bwt[0] = text[-1]
    sentinel = 0
    for piece in _pieces(len(text)):
        part = suffixes[piece]
        bwt[piece.start + 1 : piece.stop + 1] = text[part - 1]
        if len(ends := np.flatnonzero(part == 0)):
            sentinel = piece.start + 1 + int(ends[0])
    bwt[sentinel] = 4
    return bwt, sentinel


def _sample(suffixes: Any) -> tuple[Any, Any]:
    """Return the high byte and the four low bytes of every eighth entry of the suffix array of the format."""
    import numpy as np  # noqa: PLC0415

    every = suffixes[_SA_STEP - 1 :: _SA_STEP]
    size = (len(suffixes) + 1) // _SA_STEP + 1
    high, low = np.zeros(size, np.int8), np.zeros(size, np.uint32)
    high[0], low[0] = len(suffixes) >> 32, len(suffixes) & 0xFFFFFFFF  # the empty suffix
    for piece in _pieces(len(every)):
        positions = every[piece].astype(np.int64)
        high[piece.start + 1 : piece.stop + 1] = positions >> 32
        low[piece.start + 1 : piece.stop + 1] = positions & 0xFFFFFFFF
    return high, low


def _write_occurrences(bwt: Any, out: BinaryIO) -> None:
    """Write, for every block, the count of each base before it and a bit mask of its positions in the block."""
    import numpy as np  # noqa: PLC0415

    before = np.zeros(4, np.int64)
    for piece in _pieces(len(bwt)):
        blocks = np.zeros(((piece.stop - piece.start) // _OCC_BLOCK, 8), np.uint64)
        for base in range(4):
            bits = (bwt[piece] == base).reshape(-1, _OCC_BLOCK)
            counts = before[base] + np.cumsum(bits.sum(axis=1))
            blocks[0, base], blocks[1:, base], before[base] = before[base], counts[:-1], counts[-1]
            blocks[:, 4 + base] = np.packbits(bits, axis=1).view(">u8").ravel()
        blocks.tofile(out)
