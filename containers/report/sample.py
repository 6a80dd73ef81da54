"""Choose the reads that the page has at each variant: all of them, or a sample by their names."""

from __future__ import annotations

import heapq
import re
import zlib
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_READS = 150  # at a variant
CIGAR = re.compile(r"(\d+)([MDN=X])")  # the operations that use bases of the reference
HTML = str.maketrans(dict.fromkeys("<>&\"'`", "_"))
TAGS = 11  # the columns of a SAM line before its tags
Kept = tuple[int, int, str]  # rank, place in the file and line of a read


class Place(NamedTuple):
    """Bases of a contig, from `start` to before `end`, counted from 0."""

    contig: str
    start: int
    end: int


@dataclass
class Selection:
    """Lines of a SAM file, with its header, and the number of reads that each place has in the whole file."""

    lines: list[str]
    totals: list[int]


def select(sam: Iterable[str], places: Sequence[Place]) -> Selection:
    """Return the reads at each place, at most MAX_READS of it: those whose names come first by a checksum.

    Mates have one name, so most pairs stay together. The lines are in the order of the file, sorted by position.
    """
    header, totals = list[str](), [0] * len(places)
    kept: list[list[Kept]] = [[] for _ in places]
    ahead = defaultdict[str, deque[int]](deque)  # contig -> the places that reads can still cover
    for number in sorted(range(len(places)), key=places.__getitem__):
        ahead[places[number].contig].append(number)
    for at, line in enumerate(sam):
        if line.startswith("@"):
            header.append(line)
            continue
        contig, start, end, name_checksum = parse(line)
        queue = ahead[contig]
        while queue and places[queue[0]].end <= start:
            queue.popleft()
        for number in queue:
            if places[number].start >= end:
                break
            if places[number].end > start:
                totals[number] += 1
                keep(kept[number], (-name_checksum, at, line))
    chosen = dict(sorted({at: line for one in kept for _, at, line in one}.items()))
    return Selection([*shorten(header, chosen.values()), *map(without_html, chosen.values())], totals)


def parse(line: str) -> tuple[str, int, int, int]:
    """Return the contig of a read, its first base, the one after its last, and a checksum of its name."""
    name, _, contig, position, _, cigar, _ = line.split("\t", 6)
    start = int(position) - 1
    length = sum(int(number) for number, _ in CIGAR.findall(cigar))
    return contig, start, start + max(1, length), zlib.crc32(name.encode())


def without_html(line: str) -> str:
    """Return a read with `_` for the characters of HTML in its name and tags, which IGV writes as HTML.

    The names of contigs need none: those of a reference have no quotes and no angle brackets.
    """
    fields = line.split("\t", TAGS)
    return "\t".join(text.translate(HTML) if at in {0, TAGS} else text for at, text in enumerate(fields))


def keep(kept: list[Kept], read: Kept) -> None:
    """Add a read to the heap of a place, without its last one if there are too many."""
    if len(kept) < MAX_READS:
        heapq.heappush(kept, read)
    else:
        heapq.heappushpop(kept, read)


def shorten(header: Iterable[str], reads: Iterable[str]) -> list[str]:
    """Return the header with the contigs of these reads and their mates only: their names and lengths."""
    used = {name for line in reads for name in (line.split("\t", 7)[2], line.split("\t", 7)[6])}
    found = list[str]()
    for line in header:
        fields = line.rstrip("\n").split("\t")
        if fields[0] == "@SQ":
            own = [one for one in fields[1:] if one.startswith(("SN:", "LN:"))]
            found += ["\t".join(["@SQ", *own]) + "\n"] if fields[1].removeprefix("SN:") in used else []
        elif fields[0] == "@HD":
            found.append(line)
    return found


def describe(number: int) -> str:
    """Say how many reads of a variant are in the page."""
    if number > MAX_READS:
        return f"{MAX_READS} of the {number:,} reads around this variant are shown, chosen by their names."
    return f"All {number:,} reads around this variant are shown."
