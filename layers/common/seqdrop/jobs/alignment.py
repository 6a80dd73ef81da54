"""What all aligners share: the lanes of a run in, one sorted, indexed and proven BAM out."""

from __future__ import annotations

import argparse
import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seqdrop.failure.verdict import JobError
from seqdrop.fastq.pairs import Pairs
from seqdrop.fastq.records import Batch
from seqdrop.jobs import arguments
from seqdrop.jobs.processes import Command
from seqdrop.jobs.workspace import Workspace, write_md5
from seqdrop.plan.names import REFERENCE_JSON
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

INTERFACE = ("sample", "reference", "reads", "bam")
SORT_SHARE = 0.4  # of a job's memory; the aligner's index has the rest


@dataclass(frozen=True, slots=True)
class Lane:
    """A pair of FASTQs on this machine and the read group its reads belong to."""

    sample: str
    read_group: str
    lane: str
    fastq_1: Path
    fastq_2: Path

    @property
    def rg_line(self) -> str:
        """The @RG line; no field can hold a tab: sample ids and read groups are checked where they are made."""
        unit = f"{self.read_group}.{self.sample}"
        return f"@RG\tID:{self.read_group}\tSM:{self.sample}\tLB:{self.sample}\tPL:ILLUMINA\tPU:{unit}"


def parse_arguments(argv: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    return arguments.parse(argv, description, *INTERFACE)


def fetch_lanes(work: Workspace) -> list[Lane]:
    """Stage in the pinned reads of every lane; their names on disk say nothing of the sample."""
    reads = s3.store().read_json(work.args.reads)
    lanes = []
    for place, entry in enumerate(reads["lanes"], start=1):
        files = []
        for mate in ("fastq_1", "fastq_2"):
            pinned, uri = entry[mate], S3Uri.parse(entry[mate]["uri"])
            suffix = ".fastq.gz" if uri.name.endswith(".gz") else ".fastq"
            proof = {word: pinned.get(word, "") for word in ("version_id", "etag", "crc64nvme")}
            files.append(work.fetch(uri, name=f"lane{place}_R{mate[-1]}{suffix}", **proof))
        lanes.append(Lane(reads["sample"], entry["read_group"], entry["lane"], *files))
    return lanes


def sam_header(work: Workspace, lanes: Sequence[Lane], program: str) -> str:
    """A SAM header for reads in the order the sequencer wrote them; the contigs as reference.json has them."""
    contigs = s3.store().read_json(work.args.reference.parent / REFERENCE_JSON)["contigs"]
    lines = ["@HD\tVN:1.6\tSO:unsorted\tGO:query"]
    lines += [f"@SQ\tSN:{contig['name']}\tLN:{contig['length']}\tM5:{contig['md5']}" for contig in contigs]
    lines += [lane.rg_line for lane in lanes]
    return "\n".join([*lines, f"@PG\tID:{program}\tPN:{program}\tVN:{work.tools[program]}"]) + "\n"


def sort_and_publish(work: Workspace, feed: Callable[[BinaryIO], None], *, mark_duplicates: bool) -> None:
    """One pass from aligned pairs to the finished BAM: mates filled in, sorted, duplicates marked, indexed.

    `feed` writes SAM or BAM, the mates of a pair side by side, and counts the reads (`verified_batches`).
    """
    bam, threads = work / "aligned.bam", str(work.vcpus)
    per_thread = max(64, int(work.memory * SORT_SHARE / work.vcpus))  # MiB: `samtools sort -m` is for one thread
    out = f"{bam}##idx##{bam}.bai"  # the index is written along with the file
    fixmate: Command = ["samtools", "fixmate", "-u", "-m", "-", "-"]
    sort: Command = ["samtools", "sort", "-@", threads, "-m", f"{per_thread}M", "-T", work / "sort"]
    finished: Command = ["--write-index", "-l", "1", "-o", out, "-"]
    if mark_duplicates:
        mark: Command = ["samtools", "markdup", "-@", threads, "--write-index", "-O", "bam,level=1", "-", out]
        work.processes.pipe(feed, fixmate, [*sort, "-u", "-"], mark)
    else:
        work.processes.pipe(feed, fixmate, [*sort, *finished])
    publish(work, bam)


def publish(work: Workspace, bam: Path) -> None:
    """Prove that every read is in the BAM once, then publish it with its index and checksum."""
    work.version("samtools")
    work.run("samtools", "quickcheck", bam)
    # "*": what lies behind the last contig, found by the index alone; idxstats would go on without one
    work.run("samtools", "view", "-c", bam, "*")
    # 0x900: neither secondary nor supplementary, so every read counts once
    primary = work.processes.output("samtools", "view", "-c", "-F", "0x900", "-@", work.vcpus, bam)
    work.counts["primary_records"] = int(primary)
    if work.counts["primary_records"] != work.counts["reads"]:
        raise JobError("TOOL_FAILED", "{reads} reads went in but {primary_records} came out".format(**work.counts))
    write_md5(bam, work.args.bam.name)
    work.publish(bam, "bam", ".bai", ".md5")


def verified_batches(work: Workspace, lane: Lane) -> Generator[tuple[Batch, Batch]]:
    """The reads of a lane, for aligners that are fed: nothing unproven reaches them. Counts into `work.counts`."""
    pairs = Pairs(lane.fastq_1, lane.fastq_2)
    with contextlib.closing(pairs.batches()) as batches:
        yield from batches
    work.counts["reads"] = work.counts.get("reads", 0) + 2 * pairs.count
    if pairs.duplicate_names:
        files = f"{lane.fastq_1.name} and {lane.fastq_2.name}"
        work.warn(
            "DUPLICATE_NAMES", f"{pairs.duplicate_names:,} of {pairs.count:,} pairs of {files} have the name of another"
        )


@contextlib.contextmanager
def verify_alongside(work: Workspace, lanes: Sequence[Lane]) -> Iterator[None]:
    """Prove the reads while an aligner reads the files itself; bad ones end it, and win over its complaint."""
    with ThreadPoolExecutor(1) as thread:
        ended = threading.Event()
        check = thread.submit(_prove, work, lanes, ended)
        check.add_done_callback(lambda done: work.processes.stop() if done.exception() else None)
        try:
            try:
                yield
            except JobError:
                check.result()  # raises what the check found: the aligner may only have stumbled over it
                raise
            check.result()
        finally:
            ended.set()


def _prove(work: Workspace, lanes: Sequence[Lane], ended: threading.Event) -> None:
    for lane in lanes:
        with contextlib.closing(verified_batches(work, lane)) as batches:
            for _ in batches:
                if ended.is_set():
                    return
