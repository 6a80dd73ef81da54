"""seqdrop.jobs.bwa_mem3: its index and its alignments, against `bwa` itself."""

from __future__ import annotations

import io
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import reader
from seqdrop.fastq.pairs import Pairs
from seqdrop.fastq.records import Batch
from seqdrop.jobs import bwa_mem3
from seqdrop.jobs.alignment import Lane
from support.made_reads import bases, pairs_of, text, write_genome
from support.waiting import eventually

REPEAT = bases(400, seed=3)
CONTIGS = {
    "chr1": bases(9_001, seed=1) + REPEAT + bases(2_000, seed=4) + REPEAT,
    "chr2": bases(5_000, seed=2) + "N" * 50 + bases(3_011, seed=5),
}
HEADER = "@HD\tVN:1.6\tSO:unsorted\tGO:query\n" + "".join(f"@SQ\tSN:{n}\tLN:{len(s)}\n" for n, s in CONTIGS.items())
PAIRS = 1_500
PRIMARY_FIELDS = slice(0, 6)  # name, FLAG, RNAME, POS, MAPQ, CIGAR


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small genome with the indexes of both aligners."""
    path = write_genome(tmp_path_factory.mktemp("mem3") / "genome.fa", CONTIGS)
    subprocess.run(["bwa", "index", path], check=True, capture_output=True)
    bwa_mem3.build_index(path)
    return path


@pytest.fixture(scope="module")
def lane(genome: Path) -> Lane:
    one, two = pairs_of("".join(CONTIGS.values()).replace("N", "A"), PAIRS, seed=7)
    paths = genome.with_name("lane1_R1.fastq"), genome.with_name("lane1_R2.fastq")
    for path, made in zip(paths, (one, two), strict=True):
        path.write_bytes(text(made))
    return Lane("NA12878", "HXYZTDSXX.1", "L001", *paths)


def aligned(genome: Path, lanes: list[Lane], threads: int) -> bytes:
    out = io.BytesIO()
    bwa_mem3.align(genome, reads_of(lanes), HEADER, threads, out)
    return out.getvalue()


def reads_of(lanes: list[Lane]) -> list[tuple[str, bwa_mem3.Batches]]:
    return [(lane.read_group, Pairs(lane.fastq_1, lane.fastq_2).batches()) for lane in lanes]


def records(bam: bytes) -> list[list[str]]:
    shown = subprocess.run(["samtools", "view", "-"], input=bam, capture_output=True, check=True).stdout.decode()
    return [line.split("\t") for line in shown.splitlines()]


def places(found: list[list[str]]) -> list[tuple[str, ...]]:
    """Where and how each read lies, of those that have one best place (MAPQ over 0)."""
    fields = [record[PRIMARY_FIELDS] for record in found if record[4] != "0"]
    return sorted((name, flag, contig, position, cigar) for name, flag, contig, position, _, cigar in fields)


def test_the_index_has_every_file_the_job_fetches(genome: Path) -> None:
    assert all(genome.with_name(genome.name + suffix).stat().st_size for suffix in bwa_mem3.INDEX)


def test_alignments_are_those_of_bwa_mem(genome: Path, lane: Lane) -> None:
    words = ["bwa", "mem", "-K", "100000000", "-Y", genome, lane.fastq_1, lane.fastq_2]
    expected = records(subprocess.run(words, capture_output=True, check=True).stdout)
    found = records(aligned(genome, [lane], threads=2))
    assert len(places(found)) > 1.9 * PAIRS  # nearly all: or the comparison would say little
    assert places(found) == places(expected)


def test_the_index_of_a_genome_of_any_length_is_right(tmp_path: Path) -> None:
    """Lengths about the blocks of the format: 64 bases, and every eighth suffix."""
    for length in (1_020, 1_023, 1_024, 1_025, 1_027, 1_031):
        contig = bases(length, seed=length)
        path = write_genome(tmp_path / f"g{length}.fa", {"c": contig})
        subprocess.run(["bwa", "index", path], check=True, capture_output=True)
        bwa_mem3.build_index(path)
        starts = range(0, length - 300, 100)
        one = [(f"r{start}", contig[start : start + 100], "F" * 100) for start in starts]
        two = [(f"r{start}", reverse(contig[start + 200 : start + 300]), "F" * 100) for start in starts]
        paths = tmp_path / "R1.fastq", tmp_path / "R2.fastq"
        for fastq_path, made in zip(paths, (one, two), strict=True):
            fastq_path.write_bytes(text(made))
        out = io.BytesIO()
        bwa_mem3.align(path, reads_of([Lane("S", "g", "", *paths)]), f"@SQ\tSN:c\tLN:{length}\n", 1, out)
        found = [
            (name, int(position), cigar) for name, _, _, position, _, cigar in map(first_six, records(out.getvalue()))
        ]
        expected = [(f"r{start}", start + at + 1, "100M") for start in starts for at in (0, 200)]
        assert found == expected


def reverse(sequence: str) -> str:
    return sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def first_six(record: list[str]) -> list[str]:
    return record[PRIMARY_FIELDS]


def test_the_bytes_are_the_same_for_any_number_of_threads(
    genome: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)  # so that there is something to spread
    assert aligned(genome, [lane], threads=1) == aligned(genome, [lane], threads=3)


def test_reads_come_out_in_the_order_they_went_in_mates_side_by_side(
    genome: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    primary = [record for record in records(aligned(genome, [lane], threads=3)) if not int(record[1]) & 0x900]
    names = [line.split()[0][1:] for line in lane.fastq_1.read_text().splitlines()[::4]]
    assert [(record[0], int(record[1]) & 0xC0) for record in primary] == [
        (name, mate) for name in names for mate in (0x40, 0x80)
    ]


def test_every_lane_has_its_read_group_and_the_header_is_kept(genome: Path, lane: Lane) -> None:
    other = Lane("NA12878", "HXYZTDSXX.2", "L002", lane.fastq_1, lane.fastq_2)
    bam = aligned(genome, [lane, other], threads=2)
    groups = [next(tag for tag in record if tag.startswith("RG:Z:")) for record in records(bam)]
    assert {tag: groups.count(tag) >= 2 * PAIRS for tag in groups} == {
        "RG:Z:HXYZTDSXX.1": True,
        "RG:Z:HXYZTDSXX.2": True,
    }
    shown = subprocess.run(["samtools", "head", "-"], input=bam, capture_output=True, check=True).stdout.decode()
    assert shown == HEADER


def test_broken_reads_end_the_alignment(genome: Path, lane: Lane, tmp_path: Path) -> None:
    cut = tmp_path / "lane1_R2.fastq"
    cut.write_bytes(lane.fastq_2.read_bytes()[:-150])
    with pytest.raises(BadInputError, match="ends in the middle of read 1500"):
        bwa_mem3.align(genome, reads_of([Lane("S", "g", "", lane.fastq_1, cut)]), HEADER, 2, io.BytesIO())


def test_what_waits_is_never_begun_once_the_reads_are_found_bad(
    genome: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    begun = []
    release = threading.Event()

    def slowly(*_: object) -> tuple[list[bytes], None]:
        begun.append(1)
        release.wait(60)
        return [], None

    def bad_after_seven() -> Iterator[tuple[Batch, Batch]]:
        yield from islice(Pairs(lane.fastq_1, lane.fastq_2).batches(), 7)
        eventually(lambda: len(begun) == 4, "every thread at work")
        raise BadInputError("MATE_NAMES", "bad")

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *args: Any, **more: Any) -> None:
            if more.get("cancel_futures"):
                super().shutdown(*args, **more)
                release.set()  # only now may a thread take what waits
            super().shutdown()

    monkeypatch.setattr(bwa_mem3, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr("bwa_mem3.align_batch", slowly)
    with pytest.raises(BadInputError):
        bwa_mem3.align(genome, [("g", bad_after_seven())], HEADER, 4, io.BytesIO())
    assert len(begun) == 4  # of seven: one for each thread
