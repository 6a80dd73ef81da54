"""Sort and mark reads in several pipes, one for each region, and publish one BAM: for jobs with many vCPUs."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from seqdrop.failure.verdict import JobError
from seqdrop.jobs import alignment, alignment_file, division
from seqdrop.jobs.bam_counts import Counts
from seqdrop.jobs.division import Division
from seqdrop.jobs.workspace import Workspace
from seqdrop.jobs.written import Written
from seqdrop.plan.names import BAM
from seqdrop.plan.steps import REGION_SORT_VCPUS

Feed = Callable[[Sequence[BinaryIO], Division], None]
Count = Callable[[Sequence[Path]], Iterable[Counts]]
# While a region sorts what it has in memory, it reads nothing, and the aligner waits: so it gets several threads.
THREADS_SHARE = 4  # vCPUs for each thread of a region
MIN_MEMORY = 16  # MiB for each thread of `samtools sort`
# MiB that the one pipe does not need, measured: `sort` and `markdup` of a region beside what `sort` may fill, and the
# copies of a batch in a process of the aligner. What `sort` may fill is less by so much.
REGION_MEMORY, BATCH_MEMORY = 25, 57


def is_possible(work: Workspace) -> bool:
    """Return whether to sort by region: not with few vCPUs, as CRAM, with one long contig, or with little memory."""
    if work.vcpus < REGION_SORT_VCPUS or alignment_file.format_of(work.args.bam) != BAM:
        return False
    lengths = division.lengths_of(work)
    has_regions = max(lengths) <= sum(lengths) / 2
    return has_regions and _memory(work) >= MIN_MEMORY


def sort_and_publish(work: Workspace, feed: Feed, header: bytes, count: Count, *, mark_duplicates: bool) -> None:
    """Add mate fields, sort, mark duplicates and index by region, and publish the BAM.

    `feed` writes to each region its records, as the `Division` has divided them, and counts the reads. `header` is that
    of the BAM of the aligner. `count` counts the records of several files at the same time.
    """
    paths = [work / f"region{number}.bam" for number in range(_number(work))]
    threads, memory, level = _threads(work), _memory(work), alignment_file.OUTPUT[BAM]
    pipes = [
        alignment.sort_commands(
            work, threads, memory, level, path, mark_duplicates=mark_duplicates, name=f"_{path.stem}"
        )
        for path in paths
    ]
    divided = division.new(work, header)
    allow_open_files()
    with alignment.publishing(work, alignment_file.new(work)) as written:
        work.processes.feed_pipes(lambda outs: feed(outs, divided), *pipes)
        written.counts = _sum(count(paths))
        _join(work, paths, written)


def allow_open_files() -> None:
    """Let the programs of the job open as many files as the container may: `samtools sort` has all its pieces open.

    The pieces are small, and many if nearly all reads are in one region, as of amplicons.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _number(work: Workspace) -> int:
    return division.regions_of(work)[-1] + 1


def _threads(work: Workspace) -> int:
    return work.vcpus // THREADS_SHARE


def _memory(work: Workspace) -> int:
    """Return the MiB that `samtools sort` may use for each of its threads: all sorts use what one pipe would use."""
    number = _number(work)
    memory = alignment.SORT_SHARE * work.memory - REGION_MEMORY * number - BATCH_MEMORY * work.vcpus
    return int(memory / (number * _threads(work)))


def _sum(counts: Iterable[Counts]) -> Counts:
    return Counts(*map(sum, zip(*counts, strict=True)))


def _join(work: Workspace, paths: Sequence[Path], written: Written) -> None:
    """Write the regions one after the other into one BAM, and its index; raise JobError if records are missing."""
    # --no-PG: the header is that of the first region.
    work.processes.read(written.copy_from, "samtools", "cat", "--no-PG", *paths)
    work.usage.measure_scratch()
    for path in paths:
        path.unlink()
    work.run("samtools", "index", "-@", work.vcpus, written.path)
    lines = work.processes.output("samtools", "idxstats", written.path).splitlines()
    found = sum(int(number) for line in lines for number in line.split("\t")[2:])
    expected = written.counts.all_records if written.counts else 0
    if found != expected:
        raise JobError("TOOL_FAILED", f"the regions have {expected:,} records, but the BAM has {found:,}")
