"""Read the reads at a position from a BAM in S3: by its index, with range requests, without the rest of the file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

PIECE = 256 << 10  # bytes of a request
MAX_PIECES = 16  # requests for a position: 4 MiB are some 50,000 reads
IGNORED = 0x704  # flags: unmapped, secondary, failed, duplicate. Callers ignore these reads too
WINDOW = 14  # bits: the linear index of a BAI has a place for each 16,384 bases
BASES = "=ACMGRSVTWYHKDBN"
BLOCK_HEADER, BLOCK_END = 18, 8  # bytes of a BGZF block before and after its deflated data
Ranges = Callable[[int, int], bytes]  # first byte and number of bytes -> these bytes, fewer at the end of the file


class Read(NamedTuple):
    """A read that covers a position."""

    name: bytes
    start: int  # from 0
    reverse: bool
    quality: int  # of the mapping
    cigar: list[tuple[int, int]]  # operation (as in BAM), length
    bases: str
    qualities: bytes


class TooDeepError(Exception):
    """The reads at a position are too many for this page."""


def linear_indexes(bai: bytes) -> list[tuple[int, ...]]:
    """Return the linear index of each contig: where the first read of each 16,384 bases starts in the BAM."""
    contigs, found, at = struct.unpack_from("<i", bai, 4)[0], list[tuple[int, ...]](), 8
    for _ in range(contigs):
        bins, at = struct.unpack_from("<i", bai, at)[0], at + 4
        for _ in range(bins):
            at += 8 + 16 * struct.unpack_from("<i", bai, at + 4)[0]
        places = struct.unpack_from("<i", bai, at)[0]
        found.append(struct.unpack_from(f"<{places}Q", bai, at + 4))
        at += 4 + 8 * places
    return found


def reads_at(ranges: Ranges, index: tuple[int, ...], contig: int, position: int) -> list[Read]:
    """Return the reads that cover a position (from 0) of a contig (its place in the header); raise TooDeepError."""
    window = position >> WINDOW
    if window >= len(index) or not index[window]:
        return []
    found, data, at = list[Read](), bytearray(), index[window] & 0xFFFF
    for block in blocks(ranges, index[window] >> 16):
        data += block
        while len(data) - at >= 4 and len(data) - at - 4 >= (size := struct.unpack_from("<i", data, at)[0]):
            own, start = struct.unpack_from("<ii", data, at + 4)
            if own != contig or start > position:
                return found
            if read := parse(data, at + 4, position):
                found.append(read)
            at += 4 + size
        del data[:at]
        at = 0
    return found


def blocks(ranges: Ranges, start: int) -> Iterator[bytes]:
    """Yield the inflated BGZF blocks from one that starts at this byte; raise TooDeepError after MAX_PIECES."""
    data = bytearray()
    for number in range(MAX_PIECES):
        piece = ranges(start + number * PIECE, PIECE)
        data += piece
        at = 0
        while len(data) - at >= BLOCK_HEADER:
            size = struct.unpack_from("<H", data, at + 16)[0] + 1
            if len(data) - at < size:
                break
            yield zlib.decompress(data[at + BLOCK_HEADER : at + size - BLOCK_END], wbits=-zlib.MAX_WBITS)
            at += size
        del data[:at]
        if len(piece) < PIECE:
            return
    raise TooDeepError


def parse(data: bytearray, at: int, position: int) -> Read | None:
    """Return the read of a record if it covers the position; None if not, or if callers ignore it."""
    start, name_size, quality, operations, flag, length = struct.unpack_from("<xxxxiBBxxHHi", data, at)
    if flag & IGNORED:
        return None
    at_cigar = at + 32 + name_size
    numbers = struct.unpack_from(f"<{operations}I", data, at_cigar)
    cigar = [(number & 15, number >> 4) for number in numbers]
    if start + sum(count for operation, count in cigar if operation in {0, 2, 3, 7, 8}) <= position:
        return None
    at_bases = at_cigar + 4 * operations
    packed = data[at_bases : at_bases + (length + 1) // 2]
    bases = "".join(BASES[byte >> 4] + BASES[byte & 15] for byte in packed)[:length]
    at_qualities = at_bases + len(packed)
    name, qualities = bytes(data[at + 32 : at_cigar - 1]), bytes(data[at_qualities : at_qualities + length])
    return Read(name, start, bool(flag & 0x10), quality, cigar, bases, qualities)
