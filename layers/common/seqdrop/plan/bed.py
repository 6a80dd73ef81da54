"""Read the regions of a BED file or of a Picard interval list, and check them against the contigs of a reference."""

from __future__ import annotations

import hashlib
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedIOBase
from typing import NamedTuple

from seqdrop.fastq.inflate import inflate
from seqdrop.fastq.records import GZIP_MAGIC
from seqdrop.text import plain_line

MAX_SIZE = 64 << 20  # bytes of text; the regions of all human exons have 10 MB
COLUMNS = 3  # contig, start and end; the other columns are not read
HEADERS = frozenset({"track", "browser"})  # the first word of lines for genome browsers
PICARD = (".interval_list", ".interval_list.gz")
BOM = b"\xef\xbb\xbf"
NUMBER = re.compile("[0-9]{1,12}")
MAX_NAME = 80  # characters of a contig name in a message
MAX_NAMES = 5  # contigs of the reference in a message


class BedError(ValueError):
    """The file cannot be used with this reference. The message has the line."""


class Interval(NamedTuple):
    """A part of a contig, with start and end as in a BED file: bases start + 1 to end."""

    contig: str
    start: int
    end: int


def intervals(file: BufferedIOBase, name: str, lengths: Mapping[str, int]) -> list[Interval]:
    """Return the regions of a plain or gzipped file in the order of `lengths`; raise BedError.

    `name` is for messages; `lengths` has the length of every contig of the reference.
    """
    order = {contig: position for position, contig in enumerate(lengths)}
    regions = sorted(_parse(read_lines(file, name), name, lengths), key=lambda one: (order[one.contig], *one[1:]))
    if not regions:
        raise BedError(f"{name} has no regions")
    return regions


def read(file: BufferedIOBase, name: str, lengths: Mapping[str, int]) -> bytes:
    """Return what `intervals` returns as BED with three columns."""
    regions = intervals(file, name, lengths)
    return b"".join(b"%s\t%d\t%d\n" % (one.contig.encode(), one.start, one.end) for one in regions)


def pad(intervals: Iterable[Interval], padding: int, lengths: Mapping[str, int]) -> Iterator[Interval]:
    """Yield sorted intervals with `padding` more bases on each side, within the contigs and joined where they meet."""
    wider = (
        Interval(contig, max(0, start - padding), min(end + padding, lengths[contig]))
        for contig, start, end in intervals
    )
    return merge(wider)


def merge(intervals: Iterable[Interval], max_gap: int = 0) -> Iterator[Interval]:
    """Yield sorted intervals, joined where they overlap or have at most `max_gap` bases between them."""
    last: Interval | None = None
    for interval in intervals:
        if last and last.contig == interval.contig and interval.start <= last.end + max_gap:
            last = last._replace(end=max(last.end, interval.end))
            continue
        if last:
            yield last
        last = interval
    if last:
        yield last


def checksum(regions: bytes) -> str:
    """Return the SHA-256 of what `read` returns: it depends on the regions, not on the form of the file."""
    return hashlib.sha256(regions).hexdigest()


def read_lines(file: BufferedIOBase, name: str) -> Iterator[bytes]:
    """Yield the lines of a plain or gzipped file, without a byte order mark."""
    start = file.read(len(BOM))
    rest: Iterable[bytes] = _blocks(file, start)
    if start.startswith(GZIP_MAGIC):
        rest = _unzip(rest, name)
    size, tail = 0, b""
    for block in rest:
        size += len(block)
        if size > MAX_SIZE:
            raise BedError(f"{name} has more than {MAX_SIZE >> 20} MiB of text")
        *lines, tail = (tail + block).split(b"\n")
        yield from lines
    if tail:
        yield tail


def _blocks(file: BufferedIOBase, start: bytes) -> Iterator[bytes]:
    yield start
    while block := file.read(1 << 20):
        yield block


def _unzip(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    complete = True
    try:
        for text, at_end in inflate(blocks, MAX_SIZE):
            yield text
            complete = at_end
    except zlib.error:
        raise BedError(f"{name} is a damaged gzip file") from None
    if not complete:
        raise BedError(f"{name} is a truncated gzip file")


def _parse(lines: Iterable[bytes], name: str, lengths: Mapping[str, int]) -> Iterator[Interval]:
    """Yield the regions; a file whose first line begins with `@` is a Picard interval list, which counts from 1."""
    numbered = enumerate(lines, start=1)
    first = next(numbered, (0, b""))
    offset = 1 if first[1].removeprefix(BOM).startswith(b"@") else 0
    if not offset and name.lower().endswith(PICARD):
        raise BedError(f"{name} has no header (@HD): name it .bed if its positions count from 0, else add the header")
    headers = HEADERS - lengths.keys()
    for number, line in itertools.chain([(first[0], first[1].removeprefix(BOM))], numbered):
        text = line.decode(errors="replace").strip()
        if not text or text.startswith("#") or text.split()[0] in headers or (offset and text.startswith("@")):
            continue
        contig, *ends = (text.split("\t") if "\t" in text else text.split())[:COLUMNS]
        where = f"line {number} of {name}"
        if len(ends) != COLUMNS - 1 or not all(NUMBER.fullmatch(end.strip()) for end in ends):
            raise BedError(f"{where} is not a region: expected a contig, a start and an end")
        yield check(Interval(contig, int(ends[0]) - offset, int(ends[1])), where, lengths)


def check(interval: Interval, where: str, lengths: Mapping[str, int]) -> Interval:
    """Return an interval if it is within a contig; else raise BedError with its place in the file (`where`)."""
    contig = shown(interval.contig)
    if interval.contig not in lengths:
        names = ", ".join(itertools.islice(lengths, MAX_NAMES))
        more = ", ..." if len(lengths) > MAX_NAMES else ""
        raise BedError(f"{where}: the reference has no contig {contig}; it has {names}{more}")
    if interval.start < 0 or interval.start >= interval.end:
        raise BedError(f"{where}: the region of {contig} from {interval.start} to {interval.end} has no bases")
    if interval.end > lengths[interval.contig]:
        length = lengths[interval.contig]
        raise BedError(f"{where}: {interval.end} is past the end of {contig}, which has {length} bases")
    return interval


def shown(text: str) -> str:
    """Return the printable beginning of a text of a user, for a message."""
    return plain_line(text, MAX_NAME)
