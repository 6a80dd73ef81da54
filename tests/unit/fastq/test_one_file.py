"""seqdrop.fastq.one_file: interleaved and single-end files, and the wrong guess of either."""

from __future__ import annotations

from pathlib import Path

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import reader
from seqdrop.fastq.one_file import Interleaved, Single
from seqdrop.fastq.pairs import Pairs, interleave
from support.made_reads import Record, bases, flip_byte, records, text, to_gzip, write_pair

COUNT = 60
ONE, TWO = records(1, COUNT), records(2, COUNT)
MIXED = [read for pair in zip(ONE, TWO, strict=True) for read in pair]
LANE = {Single: "single", Interleaved: "interleaved"}


def write(folder: Path, data: bytes) -> Path:
    path = folder / "lane1.fastq.gz"
    path.write_bytes(data)
    return path


def read(kind: type[Pairs], path: Path) -> tuple[Pairs, bytes]:
    """Read a file to its end; return its counts and what an aligner gets."""
    reads = kind(path)
    return reads, b"".join(interleave(*mates) for mates in reads.batches())


def refuse(kind: type[Pairs], folder: Path, data: bytes) -> tuple[str, str]:
    with pytest.raises(BadInputError) as caught:
        read(kind, write(folder, data))
    return caught.value.failure_class.removeprefix("BAD_INPUT."), str(caught.value)


def bare(reads: list[Record]) -> bytes:
    return text([(head.split()[0], seq, qual) for head, seq, qual in reads])


@pytest.mark.parametrize("size", [7, 10_000])
@pytest.mark.parametrize("header", ["casava", "slash", "bare"])
def test_an_interleaved_file_gives_the_reads_of_its_two_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, size: int
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", size)
    one, two = records(1, COUNT, header=header), records(2, COUNT, header=header)
    mixed = [read for pair in zip(one, two, strict=True) for read in pair]
    reads, aligned = read(Interleaved, write(tmp_path, to_gzip(text(mixed))))
    pairs = Pairs(*write_pair(tmp_path, to_gzip(text(one)), to_gzip(text(two))))
    assert aligned == b"".join(interleave(*mates) for mates in pairs.batches())
    assert (reads.count, reads.bases, reads.mates) == (pairs.count, pairs.bases, 2) == (COUNT, 60 * COUNT, 2)


@pytest.mark.parametrize("size", [7, 10_000])
def test_single_end_reads_are_read_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", size)
    reads, aligned = read(Single, write(tmp_path, to_gzip(text(ONE))))
    assert aligned == bare(ONE)
    assert (reads.count, reads.bases, reads.mates, reads.warnings) == (COUNT, 30 * COUNT, 1, [])


def read_ids(reads: list[Record]) -> bytes:
    """Return interleaved reads with names as `fastq-dump --readids` writes them."""
    return to_gzip(text([(f"SRR1.{n // 2 + 1}.{n % 2 + 1}", seq, qual) for n, (_, seq, qual) in enumerate(reads)]))


WRONG = {
    "interleaved": (to_gzip(text(MIXED)), "reads 1 and 2 are a pair by their names"),
    "some mates": (to_gzip(text([*ONE[:30], *MIXED[60:]])), "reads 31 and 32 are a pair by their names"),
    "read ids": (read_ids(MIXED), "reads 1 and 2 are a pair by their names"),
}


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_mates_in_a_single_end_file_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    failure_class, text = refuse(Single, tmp_path, data)
    assert failure_class == "LAYOUT"
    assert text.startswith(f"lane1.fastq.gz has mates, but was uploaded as single-end reads: {message}")
    assert text.endswith("seqdrop-layout=interleaved")


def test_the_numbers_of_single_end_reads_are_no_mates(tmp_path: Path) -> None:
    numbered = [(f"SRR1.{n}", seq, qual) for n, (_, seq, qual) in enumerate(ONE, 1)]
    assert read(Single, write(tmp_path, to_gzip(text(numbered))))[0].count == COUNT


def test_r2_as_a_single_end_file_gives_a_warning(tmp_path: Path) -> None:
    reads, _ = read(Single, write(tmp_path, to_gzip(text(TWO))))
    assert reads.warnings == [
        ("MATE_MISSING", "the reads of lane1.fastq.gz say that they are R2 of pairs: R1 may be missing")
    ]


NOT_INTERLEAVED = {
    "single-end": (to_gzip(text(ONE)), "LAYOUT", "seqdrop-layout=single"),
    "R2 first": (to_gzip(text(MIXED[1:-1])), "LAYOUT", "begins with a read of R2: R1 must be before R2"),
    "a mate is missing": (to_gzip(text([*MIXED[:10], *MIXED[11:]])), "MATE_NAMES", "reads 11 and 12 of lane1.fastq.gz"),
    "the last mate is missing": (to_gzip(text(MIXED[:-1])), "MATE_COUNT", "has 119 reads, an odd number"),
    "one read": (to_gzip(text(MIXED[:1])), "MATE_COUNT", "has 1 reads, an odd number"),
    "R1 twice": (to_gzip(text([read for read in ONE for _ in "12"])), "SAME_FILE", "contain the same reads"),
    "no reads": (to_gzip(b""), "EMPTY", "lane1.fastq.gz contain no reads"),
    "truncated": (to_gzip(text(MIXED))[:-20], "TRUNCATED", "lane1.fastq.gz is truncated"),
    "damaged": (flip_byte(to_gzip(text(MIXED)), -8), "CORRUPT_GZIP", "lane1.fastq.gz is damaged"),
}


@pytest.mark.parametrize(("data", "kind", "message"), NOT_INTERLEAVED.values(), ids=NOT_INTERLEAVED)
def test_a_file_that_is_not_interleaved_is_refused(tmp_path: Path, data: bytes, kind: str, message: str) -> None:
    failure_class, text = refuse(Interleaved, tmp_path, data)
    assert (failure_class, message in text) == (kind, True), text


@pytest.mark.parametrize("kind", LANE, ids=LANE.values())
def test_damaged_data_is_not_reported_as_a_wrong_layout(tmp_path: Path, kind: type[Pairs]) -> None:
    wrong = text(MIXED if kind is Single else ONE)
    assert refuse(kind, tmp_path, flip_byte(to_gzip(wrong), -8))[0] == "CORRUPT_GZIP"


@pytest.mark.parametrize("trimmed", ["R1", "R2"])
@pytest.mark.parametrize("cut", [slice(0, 25), slice(4, 30)])
def test_a_file_and_its_trimmed_copy_are_no_pair(tmp_path: Path, trimmed: str, cut: slice) -> None:
    short = [(head, seq[cut], qual[cut]) for head, seq, qual in ONE]
    mates = (ONE, short) if trimmed == "R2" else (short, ONE)
    one, two = (to_gzip(bare(reads)) for reads in mates)
    with pytest.raises(BadInputError, match="in 60 of the first 60 pairs, the bases of one read are in the other"):
        list(Pairs(*write_pair(tmp_path, one, two)).batches())


def test_mates_without_bases_are_no_copies(tmp_path: Path) -> None:
    empty = [(f"r{n}", "G" * 30, "#" * n + "F" * (30 - n)) for n in range(30)]
    real = [(f"s{n}", bases(30, n), "F" * 30) for n in range(30)]
    mates = [(f"s{n}", bases(30, 99 + n), "F" * 30) for n in range(30)]
    dark = [(head, seq, qual[::-1]) for head, seq, qual in empty]
    pairs = Pairs(*write_pair(tmp_path, to_gzip(text([*empty, *real])), to_gzip(text([*dark, *mates]))))
    assert sum(len(one) for one, _ in pairs.batches()) == COUNT
