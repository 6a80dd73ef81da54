"""seqdrop.jobs.region_sort: the BAM that is sorted by region has the records of one pipe; with the real samtools."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import random
import resource
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.fastq import bam_header
from seqdrop.jobs import alignment, bam_counts, division, region_sort
from seqdrop.jobs.bam_counts import Counts
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.division import Division
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.made_reads import bases

LENGTHS = {"chr1": 900, "chr2": 800, "chr3": 500, "chr4": 300, "chrM": 100}
READ, PAIRS, BATCH = 40, 3_000, 250
CIGARS = ("40M", "5S35M", "12S28M", "33M7S", "20M2D20M", "18M1I21M", "3S30M7S", "10M60N30M")
PAIRED, UNMAPPED, MATE_UNMAPPED, REVERSE, MATE_REVERSE, FIRST, SECOND = 0x1, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80
SUPPLEMENTARY, DUPLICATE = 0x800, 0x400
SEQUENCE = bases(READ, seed=5)

Record = tuple[str, int, str, int, str]  # name, flag, contig, position, CIGAR


def work_of(bucket: str, folder: Path, vcpus: int = 16, lengths: Iterable[int] = LENGTHS.values()) -> Workspace:
    uri = S3Uri(bucket, "S/r")
    contigs = [{"name": f"chr{n}", "length": length, "md5": "x"} for n, length in enumerate(lengths, start=1)]
    s3.store().write_json(uri / "reference.json", {"contigs": contigs})
    args = argparse.Namespace(
        sample="S", bam=uri / "S.bam", results=uri, run="r", attempt="1", vcpus=vcpus, memory=20_000, args=[]
    )
    return Workspace("align", args, folder, Processes(folder))


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    return work_of(bucket, tmp_path)


def place(rng: random.Random) -> tuple[str, int, str]:
    """Return a contig, a position and a CIGAR: often at a border, often that of other reads."""
    contig = rng.choice(list(LENGTHS))
    position = rng.choice([1, 2, 6, LENGTHS[contig] - READ, rng.randint(1, LENGTHS[contig] - READ)])
    return contig, position // rng.choice([1, 1, 30]) or 1, rng.choice(CIGARS)


def records_of_pair(rng: random.Random, number: int) -> Iterator[Record]:
    """Yield the records of a pair or a single read as an aligner writes them."""
    name, one, two = f"r{number * 7919 % PAIRS}", place(rng), place(rng)
    if rng.random() < 0.6:
        two = one[0], one[1] + rng.choice([0, 3, 30]), two[2]
    kind, strands = rng.random(), rng.sample([0, REVERSE, rng.choice([0, REVERSE])], 2)
    if kind < 0.05:  # a single read
        yield name, strands[0], *one
        return
    if kind < 0.1:  # no place
        yield from ((name, PAIRED | UNMAPPED | MATE_UNMAPPED | mate, "*", 0, "*") for mate in (FIRST, SECOND))
        return
    if kind < 0.2:  # the mate has no place of its own
        yield name, PAIRED | MATE_UNMAPPED | FIRST | strands[0], *one
        yield name, PAIRED | UNMAPPED | SECOND, *one[:2], "*"
        return
    yield name, PAIRED | FIRST | strands[0], *one
    if kind < 0.3:
        yield name, PAIRED | FIRST | SUPPLEMENTARY | strands[1], *place(rng)
    yield name, PAIRED | SECOND | strands[1], *two


def sam_of(pairs: int) -> str:
    rng = random.Random(11)  # noqa: S311  not for a secret
    lines = ["@HD\tVN:1.6\tSO:unsorted\tGO:query", *(f"@SQ\tSN:{n}\tLN:{length}" for n, length in LENGTHS.items())]
    for number in range(pairs):
        for name, flag, contig, position, cigar in records_of_pair(rng, number):
            quality = rng.choice("5?I") * READ
            lines.append(f"{name}\t{flag}\t{contig}\t{position}\t60\t{cigar}\t*\t0\t0\t{SEQUENCE}\t{quality}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def aligned() -> bytes:
    """Return an uncompressed BAM in the order of the reads."""
    command = ["samtools", "view", "-u", "--no-PG", "-"]
    done = subprocess.run(command, input=sam_of(PAIRS).encode(), capture_output=True, check=True)
    return gzip.decompress(done.stdout)


def parts_of(bam: bytes) -> tuple[bytes, list[bytes]]:
    """Return the header, and the records of the pairs in batches."""
    _, start = bam_header.skip(iter([bam]))
    records, at = list[bytes](), start
    while at < len(bam):
        following = at + 4 + int.from_bytes(bam[at : at + 4], "little")
        records.append(bam[at:following])
        at = following
    pairs = [b"".join(group) for _, group in groupby(records, lambda record: record[36 : 36 + record[12]])]
    return bam[:start], [b"".join(pairs[at : at + BATCH]) for at in range(0, len(pairs), BATCH)]


def expect_all(work: Workspace, bam: bytes) -> None:
    counts = bam_counts._count(iter([bam]), known=False)  # type: ignore[arg-type]  # an iterator is enough
    work.counts |= {"reads": counts.records, "bases": counts.bases}


def feed_of(work: Workspace, bam: bytes, lost: int = 0) -> Callable[[Sequence[BinaryIO], Division], None]:
    """Return what divides the batches of a BAM, as the processes of the aligner do; `lost` regions are not written."""

    def feed(outs: Sequence[BinaryIO], divided: Division) -> None:
        for out in outs:
            out.write(divided.fixed_header)
        for batch in parts_of(bam)[1]:
            for out, records in list(zip(outs, divided.divide(batch), strict=True))[lost:]:
                out.write(records)
        expect_all(work, bam)

    return feed


def count(paths: Sequence[Path]) -> Iterator[Counts]:
    return map(bam_counts.count_primary, paths)


def sort(work: Workspace, bam: bytes, *, mark_duplicates: bool = True, lost: int = 0) -> None:
    header, _ = parts_of(bam)
    region_sort.sort_and_publish(work, feed_of(work, bam, lost), header, count, mark_duplicates=mark_duplicates)


def sort_in_one_pipe(work: Workspace, bam: bytes, *, mark_duplicates: bool) -> None:
    def feed(out: BinaryIO) -> None:
        out.write(bam)
        expect_all(work, bam)

    alignment.sort_and_publish(work, feed, mark_duplicates=mark_duplicates)


def view(work: Workspace, *options: str) -> str:
    command = ["samtools", "view", "--no-PG", *options, "aligned.bam"]
    return subprocess.run(command, cwd=work.directory, capture_output=True, check=True).stdout.decode()


@pytest.mark.parametrize("mark_duplicates", [True, False])
def test_all_records_and_marks_are_those_of_one_pipe(
    bucket: str, work: Workspace, aligned: bytes, tmp_path_factory: pytest.TempPathFactory, mark_duplicates: bool
) -> None:
    other = work_of(bucket, tmp_path_factory.mktemp("one pipe"))
    sort_in_one_pipe(other, aligned, mark_duplicates=mark_duplicates)
    sort(work, aligned, mark_duplicates=mark_duplicates)
    assert view(work) == view(other)
    assert work.counts == other.counts
    assert [output["name"] for output in work.outputs] == ["bam.bai", "bam.md5", "bam"]
    data = (work / "aligned.bam").read_bytes()
    assert (work / "aligned.bam.md5").read_text().split()[0] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert s3.store().head(work.args.bam).size == len(data)
    for contig in LENGTHS:
        assert len(view(work, "-c", "aligned.bam", contig)) >= 1
    assert sorted(path.name for path in work.directory.iterdir() if path.suffix == ".bam") == ["aligned.bam"]


def test_the_made_reads_have_every_kind_of_duplicate(work: Workspace, aligned: bytes) -> None:
    """The test above would show little otherwise."""
    sort(work, aligned)
    lines = [line.split("\t") for line in view(work).splitlines()]
    found = Counter[str]()
    for _, text, contig, _, _, cigar, mate_contig, *_ in lines:
        flag = int(text)
        if flag & DUPLICATE:
            kind = "single" if not flag & PAIRED else "lone" if flag & MATE_UNMAPPED else "pair"
            found[kind] += 1
            found[f"to {'another' if mate_contig != '=' else 'the same'} contig"] += kind == "pair"
            found["clipped"] += "S" in cigar
            found[contig] += 1
    assert min(found[kind] for kind in (*LENGTHS, "single", "lone", "pair", "clipped")) >= 10
    assert min(found["to another contig"], found["to the same contig"]) >= 10
    assert not any(int(line[1]) & DUPLICATE for line in lines if int(line[1]) & SUPPLEMENTARY)


def test_the_records_do_not_depend_on_the_size_of_the_job(
    bucket: str, work: Workspace, aligned: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sort(work, aligned)
    other = work_of(bucket, tmp_path_factory.mktemp("other"), vcpus=64)
    sort(other, aligned)
    assert view(other) == view(work)


def test_regions_are_contigs_that_follow_each_other(bucket: str, tmp_path: Path) -> None:
    human = [248, 242, 198, 190, 181, 170, 159, 145, 138, 133, 135, 133, 114, 107, 101, 90, 83, 80, 58, 64, 46, 50, 156,
             57, 1]  # fmt: skip
    work = work_of(bucket, tmp_path, lengths=human)
    assert division.regions_of(work) == (
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 12, 12, 13, 13, 14, 14, 14, 14, 15, 15, 16, 16, 17,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "possible"),
    [
        ({}, True),
        ({"vcpus": 4}, False),
        ({"memory": 3_600}, False),
        ({"bam": S3Uri("b", "S.cram")}, False),
        ({"lengths": [5_000]}, False),
        ({"lengths": [5_000, 100]}, False),  # nearly all reads would be in one region
    ],
)
def test_jobs_that_gain_by_it_sort_by_region(
    bucket: str, tmp_path: Path, change: dict[str, object], possible: bool
) -> None:
    lengths = change.pop("lengths", LENGTHS.values())
    work = work_of(bucket, tmp_path, lengths=lengths)  # type: ignore[arg-type]  # lengths
    vars(work.args).update(change)
    assert region_sort.is_possible(work) == possible


def test_the_pieces_of_one_region_may_be_more_than_the_open_files_of_a_process_usually_are(
    work: Workspace, aligned: bytes
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
        sort(work, aligned)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limits[1], limits[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_records_that_were_not_written_are_an_error(work: Workspace, aligned: bytes) -> None:
    with pytest.raises(JobError, match=r"\d+ reads went in but \d+ came out") as raised:
        sort(work, aligned, lost=1)
    assert raised.value.failure_class == "TOOL_FAILED"
    assert s3.store().find(work.args.bam) is None


def test_a_full_disk_of_a_region_is_reported(work: Workspace, aligned: bytes) -> None:
    (work / "region2.bam").symlink_to("/dev/full")
    with pytest.raises(ToolError) as raised:
        sort(work, aligned)
    assert raised.value.tool == "samtools"
    assert s3.store().find(work.args.bam) is None
    assert not work.processes._alive


def test_records_that_fixmate_refuses_are_an_error(work: Workspace, aligned: bytes) -> None:
    work.processes.redactor.add_samples("input")
    divided = division.new(work, parts_of(aligned)[0])
    with pytest.raises(ToolError) as raised:
        divided.divide(b"\x40\0\0\0 no record")
    assert raised.value.tail == ("samtools fixmate: Couldn't read from <sample> file",)
    assert str(raised.value) == f"samtools ended with exit code 1: {raised.value.tail[0]}"
