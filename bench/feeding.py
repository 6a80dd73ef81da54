"""The line `feed`: everything that a job does for its reads but aligning them, with an aligner of no cost."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import bwa_mem3 as library
from seqdrop.fastq.pairs import Pairs
from seqdrop.jobs import bwa_mem3

RECORD_SIZE = 330  # bytes of a record in BAM for 150 bases


class Record:
    """A record as the aligner returns it."""

    bytes = b"r" * RECORD_SIZE


class Index:
    """An index of nothing."""

    def __init__(self, _: str) -> None:
        """Load nothing."""

    def contigs(self) -> list[tuple[str, int]]:
        """Return one contig."""
        return [("c", 1)]


def align_nothing(_: Any, __: Any, pairs: list[Any], *___: Any) -> tuple[list[type[Record]], None]:
    """Return two records for each pair."""
    return [Record] * (2 * len(pairs)), None


def feed(one: Path, two: Path, processes: int) -> tuple[int, float]:
    """Feed the aligner; return the pairs and the seconds."""
    pairs = Pairs(one, two)
    with bwa_mem3.Aligner(Path("none"), processes) as aligner, Path("/dev/null").open("wb") as out:
        begin = time.perf_counter()
        aligner.align([("g", pairs)], "@HD\tVN:1.6\n", out)
        seconds = time.perf_counter() - begin
    return pairs.count, seconds


def main(one: str, two: str, processes: str) -> None:
    """Print the pairs a second, and the CPU time of a million pairs in this process and in its children.

    The insert size is estimated with the first batches, which are read once more for it: of these reads, a sixth.
    """
    library.BwaIndex, library.align_batch = Index, align_nothing  # type: ignore[assignment,misc]  # of the same interface
    library.estimate_pestat = lambda *_: library.MemPeStat()  # type: ignore[assignment]  # as above
    own, merging = time.process_time(), time.thread_time()
    count, seconds = feed(Path(one), Path(two), int(processes))
    own, merging = time.process_time() - own, time.thread_time() - merging
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = children.ru_utime + children.ru_stime
    sys.stdout.write(
        f"{count / seconds:,.0f} pairs/s with {processes} processes; CPU s per million pairs: {1e6 * own / count:.2f} "
        f"in the process that divides and merges ({1e6 * merging / count:.2f} of them in the thread that merges), "
        f"{1e6 * others / count:.2f} in the others\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
