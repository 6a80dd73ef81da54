"""Read the ploidy of parts of a reference from a file, and find its haploid parts."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedIOBase
from typing import Any, NamedTuple

from seqdrop.plan import bed
from seqdrop.plan.bed import BedError, Interval
from seqdrop.plan.names import DIPLOID, MAX_PLOIDY, canonical

PLOIDY, REGIONS = "ploidy", "ploidy_regions"  # in reference.json
NAME = "the ploidy file"  # in messages
COLUMNS = (2, 4)  # a whole contig, or a part of one: contig, start and end as in BED, ploidy
MAX_TEXT = 4_000  # characters of the regions as an option of a job: Batch limits the command line to 8,192


class Region(NamedTuple):
    """The ploidy of a part of a contig; start and end are those of a BED file."""

    contig: str
    start: int
    end: int | None  # None: the end of the contig
    ploidy: int
    line: int  # of the file


def read(file: BufferedIOBase) -> list[Region]:
    """Return the regions of a plain or gzipped file; raise BedError for a line that is none."""
    lines = enumerate(bed.read_lines(file, NAME), start=1)
    texts = ((number, line.removeprefix(bed.BOM).decode(errors="replace").strip()) for number, line in lines)
    regions = [_parse(text, number) for number, text in texts if text and not _is_comment(text)]
    if not regions:
        raise BedError(f"{NAME} has no regions: each line has a contig, or its start and end too, and a ploidy")
    if len(to_text(regions)) > MAX_TEXT:
        raise BedError(f"{NAME} has too many regions ({len(regions):,}): only list those with another ploidy")
    return regions


def _is_comment(line: str) -> bool:
    return line.startswith("#") or line.split(maxsplit=1)[0] in bed.HEADERS


def _parse(text: str, number: int) -> Region:
    contig, *values = text.split("\t") if "\t" in text else text.split()
    values = [value.strip() for value in values]
    where = f"line {number} of {NAME}"
    if len(values) + 1 not in COLUMNS or not all(bed.NUMBER.fullmatch(value) for value in values[:-1]):
        raise BedError(f"{where}: expected a contig and a ploidy, or a contig, a start, an end and a ploidy")
    if values[-1] not in map(str, range(1, MAX_PLOIDY + 1)):
        shown = bed.shown(values[-1])
        raise BedError(f"{where}: the ploidy is {shown}, but callers know 1 and 2 (leave out contigs without reads)")
    start, end = map(int, values[:-1]) if len(values) > 1 else (0, None)
    return Region(contig, start, end, int(values[-1]), number)


def to_text(regions: Iterable[Region]) -> str:
    """Return the regions as an option of the job that prepares a reference."""
    return canonical([list(region) for region in regions])


def from_text(text: str) -> list[Region]:
    """Return the regions that `to_text` wrote; raise ValueError."""
    try:
        regions = [Region(*entry) for entry in json.loads(text)]
    except (ValueError, TypeError, RecursionError):
        raise ValueError("not a list of regions") from None
    if not all(_is_valid(region) for region in regions):
        raise ValueError("not a list of regions")
    return regions


class Regions:
    """The value of an option: regions as `to_text` writes them."""

    def __str__(self) -> str:
        """Return the form as in messages."""
        return "a JSON list of regions"

    def parse(self, text: str) -> list[Region]:
        """Return the regions; raise argparse.ArgumentTypeError."""
        try:
            return from_text(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None


def _is_valid(region: Region) -> bool:
    numbers = (region.start, region.line, *([] if region.end is None else [region.end]))
    known = isinstance(region.contig, str) and region.ploidy in range(1, MAX_PLOIDY + 1)
    return known and all(type(number) is int for number in (*numbers, region.ploidy))


def check(regions: Iterable[Region], lengths: Mapping[str, int]) -> list[Region]:
    """Return the regions with their ends, in the order of the contigs.

    Raises BedError with the line of a region that the genome does not have, or that overlaps another one.
    """
    order = {contig: position for position, contig in enumerate(lengths)}
    complete = []
    for region in regions:
        end = lengths.get(region.contig, 1) if region.end is None else region.end
        bed.check(Interval(region.contig, region.start, end), f"line {region.line} of {NAME}", lengths)
        complete.append(region._replace(end=end))
    complete.sort(key=lambda region: (order[region.contig], region.start))
    for one, two in itertools.pairwise(complete):
        if one.contig == two.contig and two.start < (one.end or 0):
            first, second = sorted((one.line, two.line))
            raise BedError(f"line {second} of {NAME}: the region overlaps that of line {first}; leave out one of them")
    return complete


def of_reference(ploidy: int, regions: Iterable[Region]) -> dict[str, Any]:
    """Return the entries of reference.json: the ploidy, and the regions (checked) that have another one.

    Equal ploidies have equal entries: regions that touch are joined.
    """
    others = (Interval(region.contig, region.start, region.end or 0) for region in regions if region.ploidy != ploidy)
    return {PLOIDY: ploidy, REGIONS: [list(interval) for interval in bed.merge(others)]}


def haploid(summary: Mapping[str, Any], lengths: Mapping[str, int]) -> list[Interval]:
    """Return the haploid parts of a reference by its reference.json; all others are diploid. Raise ValueError."""
    ploidy = summary.get(PLOIDY, DIPLOID)
    if ploidy not in range(1, MAX_PLOIDY + 1):
        raise ValueError(f"the reference has ploidy {ploidy}: the callers know 1 and 2")
    others = [Interval(*entry) for entry in summary.get(REGIONS, [])]
    if ploidy == DIPLOID:
        return others
    by_contig = {name: [one for one in others if one.contig == name] for name in {one.contig for one in others}}
    return [part for name, size in lengths.items() for part in _between(name, size, by_contig.get(name, []))]


def _between(contig: str, length: int, intervals: Sequence[Interval]) -> Iterator[Interval]:
    """Yield the parts of a contig that are in none of its intervals."""
    start = 0
    for interval in [*intervals, Interval(contig, length, length)]:
        if interval.start > start:
            yield Interval(contig, start, interval.start)
        start = interval.end


def describe(summary: Mapping[str, Any]) -> str:
    """Return the ploidy of a reference as text: `2, but 1 on chrX and chrM`."""
    ploidy = summary.get(PLOIDY, DIPLOID)
    contigs = list(dict.fromkeys(bed.shown(entry[0]) for entry in summary.get(REGIONS, [])))
    if not contigs:
        return str(ploidy)
    more = f" and {len(contigs) - bed.MAX_NAMES:,} more" if len(contigs) > bed.MAX_NAMES else ""
    return f"{ploidy}, but {MAX_PLOIDY + 1 - ploidy} in regions of {', '.join(contigs[: bed.MAX_NAMES])}{more}"
