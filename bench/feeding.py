"""The line `feed`: everything that a job does for its reads but aligning them, with an aligner of no cost."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bwa_mem3 as library
import reads
from measure import GateError
from seqdrop.fastq.pairs import Pairs
from seqdrop.jobs import bwa_mem3

RECORD_SIZE = 330  # bytes of a record in BAM for 150 bases
REPEATS = 4  # of the reads: five batches of a lane are read twice, for the insert size, which matters less with more


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
    """Feed the aligner, and a program that drops its records; return the pairs and the seconds."""
    pairs = Pairs(one, two)
    with (
        bwa_mem3.Aligner(Path("none"), processes) as aligner,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as program,
    ):
        assert program.stdin
        begin = time.perf_counter()
        aligner.align([("g", pairs)], "@HD\tVN:1.6\n", [program.stdin])
        program.stdin.close()
        seconds = time.perf_counter() - begin
    return pairs.count, seconds


def repeat(fastq: Path) -> Path:
    """Return a file with the reads of another one several times, as members of its gzip."""
    path = fastq.with_name(f"{REPEATS}x{fastq.name}")
    if not path.exists():
        with path.open("wb") as out:
            for _ in range(REPEATS):
                with fastq.open("rb") as file:
                    shutil.copyfileobj(file, out)
    return path


def main(one: str, two: str, processes: str) -> None:
    """Print the CPU time of the process that bounds the feed, and of the others, which are as many as there are cores.

    The time of the first process counts all of its threads, which unpack R1, R2 and talk to the others: it is more than
    the seconds that they need where there are cores for all of them. So its inverse is a pace that one core allows.
    """
    library.BwaIndex, library.align_batch = Index, align_nothing  # type: ignore[assignment,misc]  # of the same interface
    library.estimate_pestat = lambda *_: library.MemPeStat()  # type: ignore[assignment]  # as above
    own = time.process_time()
    count, seconds = feed(repeat(Path(one)), repeat(Path(two)), int(processes))
    own = time.process_time() - own
    if count != REPEATS * reads.PAIRS:
        raise GateError(f"{count} of {REPEATS * reads.PAIRS} pairs passed")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = children.ru_utime + children.ru_stime
    sys.stdout.write(
        f"feed: {count / own:,.0f} pairs a CPU second of the one process that divides and merges "
        f"({1e6 * own / count:.2f} s a million), {1e6 * others / count:.2f} s a million in all others; "
        f"{count / seconds:,.0f} pairs/s here, with {processes} processes\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
