"""The reads at a variant: those that samtools finds in the same BAM, and their drawing."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from containers.report import calls, pileups, slices
from containers.report.pileups import Pileup
from containers.report.slices import Read

REFERENCE = "ACGTTGCAACGGTTAACCGTACGTATGCCCATGACCAGTA"


def variant(position: int, ref: str, alt: str) -> calls.Variant:
    fields = ["c", str(position), ref, alt, "50", "PASS", ".", ".", ".", "0/1", "9", "5,4", "."]
    return calls.parse("\t".join(fields) + "\n")


def read(start: int, cigar: list[tuple[int, int]], bases: str, *, name: bytes = b"r", reverse: bool = False) -> Read:
    return Read(name, start, reverse, 60, cigar, bases, bytes([30] * len(bases)))


def draw(at: int, ref: str, alt: str, reads: list[Read]) -> Pileup:
    return pileups.draw(variant(at, ref, alt), reads, REFERENCE, 0)


def line(one: Read) -> str:
    return "".join(letter for _, letter in pileups.cells(one, REFERENCE, 0)).rstrip()


@pytest.fixture(scope="module")
def bam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BAM of two contigs with reads of every kind, more than one block, and its index."""
    folder, random_ = tmp_path_factory.mktemp("bam"), random.Random(14)  # noqa: S311  made reads
    rows = ["@SQ\tSN:a\tLN:60000", "@SQ\tSN:b\tLN:60000", "@SQ\tSN:empty\tLN:60000"]
    for number in range(6_000):
        flag = random_.choice([0, 0, 16, 16, 99, 147, 4, 256, 512, 1024, 2048])
        cigar = random_.choice(["50M", "5S45M", "20M3D30M", "20M4I26M", "10M500N40M"])
        bases = "".join(random_.choices("ACGTN", k=50))
        start = random_.randrange(20_000, 50_000)
        contig, cigar = random_.choice("ab"), "*" if flag == 4 else cigar
        rows.append(f"r{number}\t{flag}\t{contig}\t{start}\t40\t{cigar}\t*\t0\t0\t{bases}\t{'5' * 50}")
    (folder / "r.sam").write_text("\n".join(rows) + "\n")
    path = folder / "r.bam"
    subprocess.run(["samtools", "sort", "--no-PG", "-o", path, folder / "r.sam"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["samtools", "index", path], check=True)
    return path


@pytest.mark.parametrize("piece", [700, 65_536])
def test_the_reads_are_those_that_samtools_finds(bam: Path, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PIECE", piece)  # of 700 bytes: a block is in several
    monkeypatch.setattr(slices, "MAX_PIECES", 10_000)
    data, indexes = bam.read_bytes(), slices.linear_indexes(Path(f"{bam}.bai").read_bytes())
    total = 0
    for number, contig in enumerate(("a", "b", "empty")):
        for position in (1, 20_010, 32_767, 32_768, 32_769, 40_000, 49_990, 50_520, 60_000):
            found = slices.reads_at(lambda at, size: data[at : at + size], indexes[number], number, position - 1)
            command = ["samtools", "view", "-F", "0x704", str(bam), f"{contig}:{position}-{position}"]
            expected = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            assert [one.name.decode() for one in found] == [row.split("\t")[0] for row in expected]
            assert [one.bases for one in found] == [row.split("\t")[9] for row in expected]
            assert {one.quality for one in found} <= {40}
            total += len(found)
    assert total > 50


def test_reads_that_are_too_many_are_not_read(bam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PIECE", 1_000)
    monkeypatch.setattr(slices, "MAX_PIECES", 3)
    data, indexes = bam.read_bytes(), slices.linear_indexes(Path(f"{bam}.bai").read_bytes())
    with pytest.raises(slices.TooDeepError):
        slices.reads_at(lambda at, size: data[at : at + size], indexes[0], 0, 45_000)


def test_a_line_shows_the_differences_from_the_reference() -> None:
    same = REFERENCE[2:12]
    assert line(read(2, [(0, 10)], same)) == "  .........."
    assert line(read(2, [(0, 10)], "A" + same[1:])) == "  A........."
    assert line(read(2, [(4, 3), (0, 10)], "TTT" + same)) == "  .........."
    assert line(read(2, [(0, 4), (2, 2), (0, 4)], same[:4] + same[6:])) == "  ....--...."
    assert line(read(2, [(0, 4), (1, 2), (0, 6)], same[:4] + "GG" + same[4:])) == "  ...+......"
    low = Read(b"r", 2, True, 60, [(0, 10)], "A" + same[1:], bytes([5] + [30] * 9))
    assert line(low) == "  a........."


@pytest.mark.parametrize(
    ("ref", "alt", "cigar", "bases"),
    [
        ("A", "G", [(0, 12)], "GCAGCGGTTAAC"),  # base 9 of the contig
        ("ACG", "A", [(0, 4), (2, 2), (0, 6)], "GCAAGTTAAC"),
        ("A", "ATT", [(0, 4), (1, 2), (0, 8)], "GCAATTCGGTTAAC"),
        ("AC", "GT", [(0, 12)], "GCAGTGGTTAAC"),
    ],
)
def test_reads_with_the_allele_are_counted_by_strand_and_come_first(
    ref: str, alt: str, cigar: list[tuple[int, int]], bases: str
) -> None:
    others = [read(0, [(0, 20)], REFERENCE[:20], name=b"a%d" % n, reverse=n > 2) for n in range(5)]
    found = draw(9, ref, alt, [*others, read(5, cigar, bases, name=b"z", reverse=True)])
    assert found.summary == "1 of 6 reads have the allele: 0 of 3 forward, 1 of 3 reverse."
    assert found.rows[0][1] == "← 60"
    assert ("ref", ref) in found.reference


def test_an_allele_of_low_quality_is_not_counted() -> None:
    low = Read(b"r", 5, False, 60, [(0, 12)], "GCAGCGGTTAAC", bytes([30, 30, 30, 12] + [30] * 8))
    assert draw(9, "A", "G", [low]).summary.startswith("0 of 1 reads have the allele: ")


def test_of_many_reads_some_are_drawn_and_all_are_counted() -> None:
    many = [read(0, [(0, 20)], REFERENCE[:20], name=b"n%d" % n) for n in range(100)]
    found = draw(9, "A", "G", many)
    assert len(found.rows) == pileups.MAX_READS
    assert found.summary.startswith("0 of 100 reads have the allele: ")
    assert found.summary.endswith(f" {pileups.MAX_READS} of the reads are drawn.")
