"""Fetch the lanes of a run, verify its reads, and publish one sorted, indexed BAM or CRAM: for every aligner."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from seqdrop.failure.verdict import JobError
from seqdrop.fastq.gunzip import is_gzip
from seqdrop.fastq.one_file import Interleaved, Single
from seqdrop.fastq.pairs import Mates, Pairs
from seqdrop.fastq.records import GZIP_MAGIC
from seqdrop.jobs import alignment_file, arguments, unaligned
from seqdrop.jobs.bam_counts import Counts
from seqdrop.jobs.processes import Argument, Command
from seqdrop.jobs.unaligned import Groups
from seqdrop.jobs.workspace import Workspace, name_companions, note_md5, write_md5
from seqdrop.jobs.written import Written
from seqdrop.plan.names import FILES, INTERLEAVED, PAIRED, SINGLE, UNALIGNED
from seqdrop.storage import s3
from seqdrop.storage.s3 import Stream
from seqdrop.storage.uri import S3Uri

READERS: Mapping[str, type[Pairs]] = {SINGLE: Single, INTERLEAVED: Interleaved}
INTERFACE = ("sample", "reference", "reads", "bam")
# Of the memory of the job; `samtools sort` takes 1.15 times as much. The rest: the index, and 0.2 GB for each vCPU.
SORT_SHARE = 0.35
MIN_SORT_MEMORY = 64  # MiB for each thread
FIXMATE: Command = ["samtools", "fixmate", "-u", "-m", "-", "-"]
TAGGING = "seqdrop=alignment"  # AlignmentArchiveDays archives objects with this tag
# For bytes.translate: 1 for each base or quality to count, 0 for the others.
NO_N = bytes(byte not in b"Nn." for byte in range(256))
ABOVE_0 = bytes(byte > ord("!") for byte in range(256))


@dataclass(frozen=True, slots=True)
class Lane:
    """The local files of a lane and their read group: two FASTQs of a pair, or one file."""

    sample: str
    read_group: str
    lane: str
    fastq_1: Path | Stream
    fastq_2: Path | Stream | None = None
    layout: str = PAIRED
    groups: Groups | None = None  # of an unaligned BAM or CRAM

    @property
    def files(self) -> list[Path | Stream]:
        """The files of the lane."""
        return [self.fastq_1, self.fastq_2] if self.fastq_2 else [self.fastq_1]

    @property
    def paths(self) -> list[Path]:
        """The files of a lane that was downloaded."""
        return [file for file in self.files if isinstance(file, Path)]

    @property
    def rg_line(self) -> str:
        """The @RG line of the SAM header; sample ids and read groups are checked when they are created: no tabs."""
        return unaligned.rg_line(self.read_group, self.sample)

    @property
    def rg_lines(self) -> list[str]:
        """The @RG lines of the SAM header: a BAM may have several read groups."""
        return list(self.groups.lines) if self.groups else [self.rg_line]

    def reads(self, work: Workspace) -> Pairs:
        """Return what reads and verifies the lane, once."""
        if self.groups and isinstance(self.fastq_1, Path):
            mates = Single.mates if self.layout == SINGLE else Pairs.mates
            return unaligned.Unaligned(work.processes, self.fastq_1, mates, self.groups.ids, work.vcpus)
        return READERS.get(self.layout, Pairs)(*self.files)


def parse_arguments(argv: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """Parse the command line that all aligners have."""
    return arguments.parse(argv, description, *INTERFACE)


def fetch_lanes(work: Workspace, *, stream: bool = False) -> list[Lane]:
    """Download the pinned FASTQ files of every lane, under names without the sample id; repeat their warnings.

    `stream`: the aligner reads each file once, in order: it is not written to the disk.
    """
    reads = s3.store().read_json(work.args.reads)
    for warning in reads.get("warnings", []):
        work.warn(warning["warning"], warning["message"])
    layout = reads.get("layout", PAIRED)
    lanes = list[Lane]()
    for number, entry in enumerate(reads["lanes"], start=1):
        words = [word for word in FILES if word in entry]
        files = [_fetch(work, number, word, entry[word], stream=stream and word != UNALIGNED) for word in words]
        one, two = files[0], files[1] if len(files) > 1 else None
        lane = Lane(reads["sample"], entry["read_group"], entry["lane"], one, two, layout)
        if words == [UNALIGNED]:
            used = {line for other in lanes for line in other.rg_lines}
            groups = unaligned.read_groups(work, lane.paths[0], lane.sample, lane.read_group, number, used)
            lane = replace(lane, groups=groups)
        lanes.append(lane)
    return lanes


def _fetch(work: Workspace, number: int, word: str, pin: Mapping[str, str], *, stream: bool) -> Path | Stream:
    """Download a file of a lane, or open it as a stream, under a name without the sample id."""
    uri = S3Uri.parse(pin["uri"])
    expected = s3.expected_of(pin)
    name = uri.name.lower()
    if word == UNALIGNED:
        return work.fetch(uri, name=f"lane{number}{name[name.rindex('.') :]}", **expected)
    suffix = ".fastq.gz" if name.endswith(".gz") else ".fastq"
    file = (work.stream if stream else work.fetch)(uri, name=f"lane{number}_R{word[-1]}{suffix}", **expected)
    warn_of_unverified(work, file)
    return file


def warn_of_unverified(work: Workspace, fastq: Path | Stream) -> None:
    """Warn of a plain FASTQ without a checksum in S3: a gzipped one has its own."""
    if isinstance(fastq, Stream):
        stored = fastq.stored
        head = b"" if stored.checksum else s3.store().read_start(stored.uri, len(GZIP_MAGIC), stored.version_id)
        doubt = not stored.checksum and head != GZIP_MAGIC
    else:
        doubt = fastq in work.unverified and not is_gzip(fastq)
    if doubt:
        work.warn(
            "UNVERIFIED",
            f"{fastq.name} is not gzipped, and S3 has no checksum of it: changed bases would not be noticed; upload it "
            "again, gzipped or with `aws s3 cp --checksum-algorithm CRC64NVME`",
        )


def sam_header(work: Workspace, lanes: Sequence[Lane], program: str) -> str:
    """Return the SAM header of unsorted reads, with the contigs from reference.json."""
    contigs = work.reference["contigs"]
    lines = ["@HD\tVN:1.6\tSO:unsorted\tGO:query"]
    lines += [f"@SQ\tSN:{contig['name']}\tLN:{contig['length']}\tM5:{contig['md5']}" for contig in contigs]
    lines += [line for lane in lanes for line in lane.rg_lines]
    return "\n".join([*lines, f"@PG\tID:{program}\tPN:{program}\tVN:{work.tools[program]}"]) + "\n"


def sort_and_publish(work: Workspace, feed: Callable[[BinaryIO], None], *, mark_duplicates: bool) -> None:
    """Add mate fields, sort, mark duplicates and index in one pipe, and publish the BAM or CRAM.

    `feed` writes SAM or BAM with the mates of a pair next to each other, and counts the reads (`verified_batches`).
    """
    path = alignment_file.new(work)
    output: Command = [*alignment_file.OUTPUT[alignment_file.format_of(work.args.bam)], "--write-index"]
    out = alignment_file.with_index(path, "-")
    memory = max(MIN_SORT_MEMORY, int(work.memory * SORT_SHARE / work.vcpus))  # MiB: `samtools sort -m` is per thread
    commands = sort_commands(work, work.vcpus, memory, output, out, mark_duplicates=mark_duplicates)
    with publishing(work, path) as written:
        work.processes.pipe(feed, FIXMATE, *commands, reader=written.read_from)


def sort_commands(
    work: Workspace, threads: int, memory: int, output: Command, out: Argument, *, mark_duplicates: bool, name: str = ""
) -> list[Command]:
    """Return the programs that sort records with mate fields and mark duplicates, with `memory` MiB for each thread."""
    sort: Command = ["samtools", "sort", "-@", threads, "-m", f"{memory}M", "-T", work / f"sort{name}"]
    if mark_duplicates:  # --: the name of its output may begin with "-"
        return [[*sort, "-u", "-"], ["samtools", "markdup", "-@", threads, *output, "--", "-", out]]
    return [[*sort, *output, "-o", out, "-"]]


@contextlib.contextmanager
def publishing(work: Workspace, path: Path) -> Generator[Written]:
    """Give what writes the BAM or CRAM a `Written`; afterwards verify the file with its index, and publish it."""
    with s3.store().grow(work.args.bam, TAGGING) as growing:
        written = Written(path, growing)
        yield written
        work.version("samtools")
        alignment_file.verify(work, path)
        compare(work, written.counts or alignment_file.count_primary(work, path, known=False))
        note_md5(path, written.md5, work.args.bam.name)
        work.publish(path, "bam", alignment_file.index_of(work.args.bam), ".md5", tagging=TAGGING, growing=growing)


def publish(work: Workspace, bam: Path, *, padded: bool = False, statistics: Iterable[Path] = ()) -> None:
    """Verify that a file has every read once with all its bases, then publish it with its index and checksum.

    It is converted if the plan has another format than that of the aligner, which is BAM.

    `padded`: the aligner adds N to short reads, so the known bases are compared: the sum of `count_known`.
    """
    work.version("samtools")
    path = alignment_file.convert(work, bam)
    alignment_file.verify(work, path)
    compare(work, alignment_file.count_primary(work, path, known=padded), padded=padded)
    write_md5(path, work.args.bam.name)
    index = alignment_file.index_of(work.args.bam)
    work.publish(path, "bam", index, ".md5", *name_companions(statistics, path), tagging=TAGGING)


def compare(work: Workspace, found: Counts, *, padded: bool = False) -> None:
    """Raise JobError unless the records have every read once with all its bases, or all known ones (`padded`)."""
    work.counts["primary_records"] = found.records
    if found.records != work.counts["reads"]:
        raise JobError("TOOL_FAILED", "{reads} reads went in but {primary_records} came out".format(**work.counts))
    kind, bases = ("known_bases", found.known_bases) if padded else ("bases", found.bases)
    work.counts["primary_bases"] = bases
    if bases != work.counts[kind]:
        raise JobError("TOOL_FAILED", f"{work.counts[kind]} bases went in but {bases} came out: the aligner cut reads")


def verified_batches(work: Workspace, lane: Lane) -> Generator[Mates]:
    """Verify and yield the reads of a lane, for aligners that read from a pipe; count them and their bases."""
    reads = lane.reads(work)
    with contextlib.closing(reads.batches()) as batches:
        for mates in batches:
            yield mates
            work.read_rate.add(sum(map(len, mates)))
    count(work, reads)


def count(work: Workspace, reads: Pairs) -> None:
    """Add the reads and bases of a lane, after all of them are verified, to the counts of the job; repeat warnings."""
    work.counts["reads"] = work.counts.get("reads", 0) + reads.mates * reads.count
    for code, message in reads.warnings:
        work.warn(code, message)
    work.counts["bases"] = work.counts.get("bases", 0) + reads.bases
    if reads.duplicate_names:
        kind = "pair" if reads.mates == Pairs.mates else "read"
        share = f"{reads.duplicate_names:,} of {reads.count:,} {kind}s"
        work.warn("DUPLICATE_NAMES", f"{share} of {reads.described_files} have the same name as another {kind}")


def count_known(bases: bytes, qualities: bytes) -> int:
    """Return the number of bases that are not N and have a quality above 0: Isaac writes all others as N."""
    if b"!" not in qualities:  # the usual case, ten times as fast
        return len(bases) - sum(map(bases.count, (b"N", b"n", b".")))
    known, measured = bases.translate(NO_N), qualities.translate(ABOVE_0)
    return (int.from_bytes(known) & int.from_bytes(measured)).bit_count()
