"""seqdrop.jobs.bwa_mem3: its index and its alignments are those of `bwa`."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import reader
from seqdrop.fastq.pairs import Pairs
from seqdrop.jobs import bwa_mem3, forked
from seqdrop.jobs.alignment import Lane
from seqdrop.jobs.child import ToolError
from seqdrop.jobs.division import Division
from seqdrop.jobs.process_tree import list_descendants
from seqdrop.jobs.redaction import Redactor
from support.made_reads import bases, pairs_of, text, write_genome

from containers.reference import bwa_mem3_index

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
    """Write a small genome with the indexes of both aligners."""
    path = write_genome(tmp_path_factory.mktemp("mem3") / "genome.fa", CONTIGS)
    subprocess.run(["bwa", "index", path], check=True, capture_output=True)
    bwa_mem3_index.build_index(path)
    return path


@pytest.fixture(scope="module")
def lane(genome: Path) -> Lane:
    one, two = pairs_of("".join(CONTIGS.values()).replace("N", "A"), PAIRS, seed=7)
    paths = genome.with_name("lane1_R1.fastq"), genome.with_name("lane1_R2.fastq")
    for path, reads in zip(paths, (one, two), strict=True):
        path.write_bytes(text(reads))
    return Lane("NA12878", "HXYZTDSXX.1", "L001", *paths)


def align(genome: Path, lanes: list[Lane], threads: int) -> bytes:
    out = io.BytesIO()
    with bwa_mem3.Aligner(genome, threads) as aligner:
        aligner.align(reads_of(lanes), HEADER, [out])
    return out.getvalue()


def reads_of(lanes: list[Lane]) -> list[tuple[str, Pairs]]:
    return [(lane.read_group, Pairs(lane.fastq_1, lane.fastq_2)) for lane in lanes]


def records(bam: bytes) -> list[list[str]]:
    sam = subprocess.run(["samtools", "view", "-"], input=bam, capture_output=True, check=True).stdout.decode()
    return [line.split("\t") for line in sam.splitlines()]


def positions(records: list[list[str]]) -> list[tuple[str, ...]]:
    """Return flag, position and CIGAR of every read with one best position (MAPQ over 0)."""
    fields = [record[PRIMARY_FIELDS] for record in records if record[4] != "0"]
    return sorted((name, flag, contig, position, cigar) for name, flag, contig, position, _, cigar in fields)


def test_the_index_has_every_file_the_job_fetches(genome: Path) -> None:
    assert all(genome.with_name(genome.name + suffix).stat().st_size for suffix in bwa_mem3.INDEX)


def test_alignments_are_those_of_bwa_mem(genome: Path, lane: Lane) -> None:
    command: list[str | Path] = ["bwa", "mem", "-K", "100000000", "-Y", genome, lane.fastq_1, lane.fastq_2]
    expected = records(subprocess.run(command, capture_output=True, check=True).stdout)
    found = records(align(genome, [lane], threads=2))
    assert len(positions(found)) > 1.9 * PAIRS  # nearly all reads are compared
    assert positions(found) == positions(expected)


def test_the_index_of_a_genome_of_any_length_is_right(tmp_path: Path) -> None:
    """The lengths are close to multiples of the blocks of the format: 64 bases, and every eighth suffix."""
    for length in (1_020, 1_023, 1_024, 1_025, 1_027, 1_031):
        contig = bases(length, seed=length)
        path = write_genome(tmp_path / f"g{length}.fa", {"c": contig})
        subprocess.run(["bwa", "fa2pac", "-f", path], check=True, capture_output=True)
        bwa_mem3_index.build_index(path)
        starts = range(0, length - 300, 100)
        one = [(f"r{start}", contig[start : start + 100], "F" * 100) for start in starts]
        two = [(f"r{start}", reverse_complement(contig[start + 200 : start + 300]), "F" * 100) for start in starts]
        paths = tmp_path / "R1.fastq", tmp_path / "R2.fastq"
        for fastq_path, reads in zip(paths, (one, two), strict=True):
            fastq_path.write_bytes(text(reads))
        out = io.BytesIO()
        with bwa_mem3.Aligner(path, 1) as aligner:
            aligner.align(reads_of([Lane("S", "g", "", *paths)]), f"@SQ\tSN:c\tLN:{length}\n", [out])
        found = [
            (name, int(position), cigar) for name, _, _, position, _, cigar in map(first_six, records(out.getvalue()))
        ]
        expected = [(f"r{start}", start + at + 1, "100M") for start in starts for at in (0, 200)]
        assert found == expected


def reverse_complement(sequence: str) -> str:
    return sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def first_six(record: list[str]) -> list[str]:
    return record[PRIMARY_FIELDS]


def test_the_output_does_not_depend_on_the_number_of_threads(
    genome: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)  # so that there are several batches
    assert align(genome, [lane], threads=1) == align(genome, [lane], threads=3)


def test_batches_that_are_larger_than_the_shared_memory_are_aligned_alike(
    genome: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go through sockets: texts and records, or with the last size the larger of both."""
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    expected = align(genome, [lane], threads=3)
    text_size = sum(fastq.stat().st_size for fastq in (lane.fastq_1, lane.fastq_2)) * 100 // PAIRS
    for size in (1, 1 << 12, text_size + 1_000):
        monkeypatch.setattr(forked, "SLOT_SIZE", size)
        assert align(genome, [lane], threads=2) == expected


def test_alignments_have_the_order_of_the_reads_with_mates_together(
    genome: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    primary = [record for record in records(align(genome, [lane], threads=3)) if not int(record[1]) & 0x900]
    names = [line.split()[0][1:] for line in lane.fastq_1.read_text().splitlines()[::4]]
    assert [(record[0], int(record[1]) & 0xC0) for record in primary] == [
        (name, mate) for name in names for mate in (0x40, 0x80)
    ]


def test_every_lane_has_its_read_group_and_the_header_is_written(genome: Path, lane: Lane) -> None:
    other = Lane("NA12878", "HXYZTDSXX.2", "L002", lane.fastq_1, lane.fastq_2)
    bam = align(genome, [lane, other], threads=2)
    groups = [next(tag for tag in record if tag.startswith("RG:Z:")) for record in records(bam)]
    assert {tag: groups.count(tag) >= 2 * PAIRS for tag in groups} == {
        "RG:Z:HXYZTDSXX.1": True,
        "RG:Z:HXYZTDSXX.2": True,
    }
    header = subprocess.run(["samtools", "head", "-"], input=bam, capture_output=True, check=True).stdout.decode()
    assert header == HEADER


def test_truncated_reads_end_the_alignment(genome: Path, lane: Lane, tmp_path: Path) -> None:
    cut = tmp_path / "lane1_R2.fastq"
    cut.write_bytes(lane.fastq_2.read_bytes()[:-150])
    with pytest.raises(BadInputError, match="ends in the middle of read 1500"):
        align(genome, [Lane("S", "g", "", lane.fastq_1, cut)], 2)


@pytest.mark.parametrize("batch", [0, 1, 6, 14])
def test_a_bad_read_of_any_batch_is_reported_with_its_number(
    genome: Path, lane: Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """The first batches are read for the insert size too, the others in other processes alone."""
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    lines = lane.fastq_2.read_bytes().split(b"\n")
    lines[4 * (100 * batch + 7) + 1] = b"A!"
    bad = tmp_path / "lane1_R2.fastq"
    bad.write_bytes(b"\n".join(lines))
    out = io.BytesIO()
    with (
        bwa_mem3.Aligner(genome, 3) as aligner,
        pytest.raises(BadInputError, match=f"read {100 * batch + 8} ") as raised,
    ):
        aligner.align(reads_of([Lane("S", "g", "", lane.fastq_1, bad)]), HEADER, [out])
    assert raised.value.failure_class == "BAD_INPUT.MALFORMED"


class OneRegion(Division):
    """A division into one region, which counts how often it is sent to another process."""

    sent: ClassVar[int] = 0

    def __getstate__(self) -> dict[str, Any]:
        OneRegion.sent += 1
        return vars(self)

    def divide(self, records: bytes) -> list[bytes]:
        return [records]


def test_each_process_gets_the_division_once(
    genome: Path, lane: Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the header twice, which is long with many contigs."""
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    monkeypatch.setattr(OneRegion, "sent", 0)
    out, whole = io.BytesIO(), io.BytesIO()
    with bwa_mem3.Aligner(genome, 2) as aligner:
        header = aligner.header(HEADER)
        division = OneRegion(header, header, (0, 0, 0), tmp_path, Redactor(""))
        aligner.align(reads_of([lane, lane]), HEADER, [out], division=division)
        assert OneRegion.sent == 2, "once for each process"
        aligner.align(reads_of([lane, lane]), HEADER, [whole])
    assert out.getvalue() == whole.getvalue()


@pytest.mark.parametrize("batch_size", [100, 10_000])
def test_the_counts_and_warnings_of_a_lane_are_those_of_one_process(
    genome: Path, lane: Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    """A file concatenated to itself has each name twice; qualities of Q30 alone may be Phred+64."""
    monkeypatch.setattr(reader, "BATCH_SIZE", batch_size)
    paths = tmp_path / "a_R1.fastq", tmp_path / "a_R2.fastq"
    for source, path in zip((lane.fastq_1, lane.fastq_2), paths, strict=True):
        path.write_bytes(source.read_bytes() * 2)
    expected, found = Pairs(*paths), Pairs(*paths)
    for _ in expected.batches():
        pass
    with bwa_mem3.Aligner(genome, 3) as aligner:
        aligner.align([("g", found)], HEADER, [io.BytesIO()])
    for pairs in (expected, found):
        assert (pairs.count, pairs.duplicate_names > 0) == (2 * PAIRS, True)
    assert (found.bases, found.duplicate_names, found.warnings) == (
        expected.bases,
        expected.duplicate_names,
        expected.warnings,
    )


@pytest.mark.parametrize("batch_size", [100, 10_000])
def test_an_aligner_that_is_killed_is_reported_as_out_of_memory(
    genome: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    """Of many batches, each kills a process, until none is left."""
    monkeypatch.setattr(reader, "BATCH_SIZE", batch_size)
    monkeypatch.setattr("bwa_mem3.align_batch", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ToolError, match="bwa-mem3 was killed, most likely for using too much memory") as raised:
        align(genome, [lane], 2)
    assert raised.value.failure_class == "OUT_OF_MEMORY"


def test_no_process_is_left_after_an_error_in_the_reads(genome: Path, tmp_path: Path, lane: Lane) -> None:
    """An aligner that hangs is ended too."""
    before = list_descendants()
    cut = tmp_path / "lane1_R2.fastq"
    cut.write_bytes(lane.fastq_2.read_bytes()[:-150])
    with pytest.raises(BadInputError):
        align(genome, [Lane("S", "g", "", lane.fastq_1, cut)], 3)
    assert list_descendants() == before
