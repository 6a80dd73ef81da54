"""seqdrop.jobs.bam_counts: the reads and bases of a BAM, as samtools counts them."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqdrop.failure.verdict import JobError
from seqdrop.jobs import bam_counts
from seqdrop.jobs.bam_counts import Counts

FLAGS = (0, 4, 16, 77, 141, 0x100, 0x800, 0x900, 0x400)


def write_bam(path: Path, reads: list[tuple[int, str, str]], contigs: int = 1, level: int = 1) -> Path:
    header = "@HD\tVN:1.6\n" + "".join(f"@SQ\tSN:contig{number}\tLN:1000\n" for number in range(contigs))
    lines = []
    for number, (flag, text, cigar) in enumerate(reads):
        where = "*\t0" if flag & 4 else "contig0\t10"
        lines.append(f"r{'x' * (number % 7)}\t{flag}\t{where}\t60\t{cigar}\t*\t0\t0\t{text}\t*\tNM:i:0\n")
    command = ["samtools", "view", "-O", f"bam,level={level}", "-o", str(path), "-"]
    subprocess.run(command, input=(header + "".join(lines)).encode(), check=True)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bams")


@settings(deadline=None)  # each example starts samtools
@given(
    st.lists(st.tuples(st.sampled_from(FLAGS), st.text("ACGTNRacgtn=", min_size=1, max_size=40)), max_size=30),
    st.integers(1, 300),
)
def test_every_primary_record_and_its_bases_are_counted(
    folder: Path, reads: list[tuple[int, str]], chunk_size: int
) -> None:
    records = [(flag, text, "*" if flag & 4 else f"{len(text)}M") for flag, text in reads]
    bam = write_bam(folder / "random.bam", records)
    primary = [text for flag, text in reads if not flag & 0x900]
    bases, unknown = sum(map(len, primary)), sum(text.upper().count("N") for text in primary)
    known = Counts(len(primary), bases, bases - unknown, len(reads))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bam_counts, "CHUNK_SIZE", chunk_size)
        assert bam_counts.count_primary(bam) == Counts(len(primary), bases, 0, len(reads))
        assert bam_counts.count_primary(bam, known=True) == known
        with bam.open("rb") as stream:
            assert bam_counts.count_stream(stream, known=True) == known


def test_a_bam_of_many_blocks_and_contigs_is_counted(folder: Path) -> None:
    bam = write_bam(folder / "large.bam", [(0, "ACGTN" * 30, "100M50S")] * 20_000, contigs=5_000)
    assert bam_counts.count_primary(bam, known=True) == Counts(20_000, 3_000_000, 2_400_000, 20_000)


def test_a_read_that_is_longer_than_a_block_is_counted(folder: Path) -> None:
    bam = write_bam(folder / "long.bam", [(4, "ACGTN" * 40_000, "*"), (4, "ACG", "*")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bam_counts, "CHUNK_SIZE", 1)
        assert bam_counts.count_primary(bam, known=True) == Counts(2, 200_003, 160_003, 2)


def test_a_complete_file_that_ends_in_a_record_is_refused(folder: Path) -> None:
    bam = write_bam(folder / "cut.bam", [(0, "ACGTN" * 30, "150M")] * 3)
    data = gzip.decompress(bam.read_bytes())
    bam.write_bytes(subprocess.run(["bgzip", "-c"], input=data[:-3], capture_output=True, check=True).stdout)
    with pytest.raises(JobError, match="the BAM ends in the middle of a record"):
        bam_counts.count_primary(bam)


@pytest.mark.parametrize("damage", ["a flipped byte", "no end", "no records", "not a BAM"])
def test_a_damaged_bam_is_refused(folder: Path, damage: str) -> None:
    bam = write_bam(folder / "damaged.bam", [(0, "ACGTN" * 30, "150M")] * 2_000)
    data = bam.read_bytes()
    middle = len(data) // 2
    bam.write_bytes(
        {
            "a flipped byte": data[:middle] + bytes([data[middle] ^ 8]) + data[middle + 1 :],
            "no end": data[:middle],
            "no records": b"",
            "not a BAM": b"@r\nACGT\n+\nIIII\n",
        }[damage]
    )
    with pytest.raises(JobError) as raised:
        bam_counts.count_primary(bam)
    assert raised.value.failure_class == "TOOL_FAILED"


def test_a_header_that_is_cut_in_its_last_contig_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records begin after it, wherever a part of the file ends."""
    bam = write_bam(folder / "cut.bam", [(0, "ACGTN", "5M")], contigs=3, level=0)
    for size in range(1, 200):
        monkeypatch.setattr(bam_counts, "CHUNK_SIZE", size)
        with bam.open("rb") as stream:
            assert bam_counts.count_stream(stream, known=True) == Counts(1, 5, 4, 1), size
