"""Test seqdrop.fastq.reader and seqdrop.fastq.pairs: the accepted variants, and the class of each invalid file."""

from __future__ import annotations

import gzip
import os
import random
import textwrap
import threading
from pathlib import Path

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.fastq import gunzip, reader
from seqdrop.fastq.pairs import Pairs, interleave
from seqdrop.fastq.records import MIN_SAME, MIN_SHIFTED, Batch, may_be_phred64, median_length, read_group
from support.made_reads import Record, bgzf, edit_read, fastq, flip_byte, records, text, to_gzip, write_pair

COUNT = 50
ONE, TWO = records(1, COUNT), records(2, COUNT)


def count_pairs(paths: tuple[Path, Path]) -> int:
    """Read and verify all pairs, and return their number."""
    pairs = Pairs(*paths)
    for _ in pairs.batches():
        pass
    return pairs.count


GOOD = {
    "gzip": (to_gzip(text(ONE)), to_gzip(text(TWO)), ".fastq.gz"),
    "several members": (
        to_gzip(text(ONE[:20])) + to_gzip(text(ONE[20:])),
        to_gzip(text(TWO[:7])) + to_gzip(text(TWO[7:])),
        ".fastq.gz",
    ),
    "BGZF": (bgzf(text(ONE)), bgzf(text(TWO)), ".fastq.gz"),
    "padded with zeros": (to_gzip(text(ONE)) + bytes(512), to_gzip(text(TWO)), ".fastq.gz"),
    "plain": (text(ONE), text(TWO), ".fastq"),
    "plain text named .gz": (text(ONE), to_gzip(text(TWO)), ".fastq.gz"),
    "CRLF": (to_gzip(text(ONE, "\r\n")), to_gzip(text(TWO, "\r\n")), ".fastq.gz"),
    "no final newline": (to_gzip(text(ONE)[:-1]), to_gzip(text(TWO)[:-1]), ".fastq.gz"),
    "blank lines at the end": (to_gzip(text(ONE) + b"\n\n"), to_gzip(text(TWO)), ".fastq.gz"),
}


@pytest.mark.parametrize(("one", "two", "ending"), GOOD.values(), ids=GOOD)
def test_every_valid_variant_of_fastq_gives_the_same_reads(tmp_path: Path, one: bytes, two: bytes, ending: str) -> None:
    pairs = Pairs(*write_pair(tmp_path, one, two, ending))
    ((first, second),) = pairs.batches()
    assert pairs.count == COUNT
    names = [head.split()[0].encode() for head, _, _ in ONE]
    for batch, reads, mate in ((first, ONE, b"1"), (second, TWO, b"2")):
        sequences, qualities = [seq.encode() for _, seq, _ in reads], [qual.encode() for _, _, qual in reads]
        assert batch == Batch(names, sequences, qualities, mate)


@pytest.mark.parametrize(("header", "mate"), [("casava", b"1"), ("slash", b"1"), ("bare", b"")])
def test_mate_suffixes_and_comments_are_removed_from_names(tmp_path: Path, header: str, mate: bytes) -> None:
    paths = write_pair(tmp_path, fastq(1, 3, header=header), fastq(2, 3, header=header))
    ((one, two),) = Pairs(*paths).batches()
    assert one.names == two.names == [head.split()[0].encode() for head, _, _ in records(1, 3)]
    assert one.mate == mate


@pytest.mark.parametrize("count", [1, 9_999, 10_000, 10_001, 20_000])
def test_pairs_are_counted_correctly_at_the_end_of_a_batch(tmp_path: Path, count: int) -> None:
    read = "@r\n{}\n+\nFFFF\n"
    paths = write_pair(
        tmp_path, (read.format("ACGT") * count).encode(), (read.format("CCCC") * count).encode(), ".fastq"
    )
    assert count_pairs(paths) == count
    assert [len(one) for one, _ in Pairs(*paths).batches()] == [10_000] * (count // 10_000) + [count % 10_000] * (
        count % 10_000 > 0
    )


def test_a_blank_line_after_a_full_batch_is_ignored(tmp_path: Path) -> None:
    read = "@r\n{}\n+\nFFFF\n"
    one, two = (read.format(bases) * 10_000 for bases in ("ACGT", "CCCC"))
    assert count_pairs(write_pair(tmp_path, f"{one}\n".encode(), two.encode(), ".fastq")) == 10_000


def with_endings(reads: list[Record], ending: str) -> bytes:
    """Return a gzip file of the reads, their names with this ending in place of the comment."""
    return to_gzip(text([(head.split()[0] + ending, seq, qual) for head, seq, qual in reads]))


def wrap(reads: list[Record], length: int) -> bytes:
    """Return a gzip file whose sequences and qualities are wrapped after `length` letters."""
    lines = [
        line
        for head, seq, qual in reads
        for line in (
            f"@{head}",
            *textwrap.wrap(seq, length),
            "+",
            *(qual[i : i + length] for i in range(0, len(qual), length)),
        )
    ]
    return to_gzip("\n".join([*lines, ""]).encode())


@pytest.mark.parametrize("endings", [("/1", "/3"), ("/1", "/4"), (" 1:N:0:A", " 3:N:0:A"), ("", "/3")])
def test_r3_is_read_as_the_mate_of_r1(tmp_path: Path, endings: tuple[str, str]) -> None:
    """With a barcode or a UMI as R2, the mate is R3, and its reads say so."""
    one, two = (with_endings(reads, ending) for reads, ending in zip((ONE, TWO), endings, strict=True))
    assert count_pairs(write_pair(tmp_path, one, two)) == COUNT


def test_numbers_at_the_end_of_names_stay_if_they_are_no_mates(tmp_path: Path) -> None:
    one, two = (
        to_gzip(text([(f"r/{n}", seq, qual) for n, (_, seq, qual) in enumerate(reads, 3)])) for reads in (ONE, TWO)
    )
    ((batch, _),) = Pairs(*write_pair(tmp_path, one, two)).batches()
    assert batch.names[:2] == [b"r/3", b"r/4"]


def to_stored_gzip(data: bytes) -> bytes:
    return gzip.compress(data, 0, mtime=0)


WHOLE_1, WHOLE_2 = to_gzip(text(ONE)), to_gzip(text(TWO))
SIZE = f"{len(WHOLE_1):,}"
LONG = b"@r\n" + b"A" * 90_000 + b"\n+\n" + b"F" * 90_000 + b"\n"
PHRED_64 = [(head, seq, "h" * len(seq)) for head, seq, _ in ONE]
BAD = {
    "truncated gzip": (WHOLE_1, WHOLE_2[: len(WHOLE_2) // 2], "TRUNCATED", "lane1_R2.fastq.gz is truncated"),
    "gzip without its trailer": (WHOLE_1, WHOLE_2[:-8], "TRUNCATED", "lane1_R2.fastq.gz is truncated"),
    "truncated second member": (WHOLE_1 + WHOLE_1[:-20], WHOLE_2 * 2, "TRUNCATED", "lane1_R1.fastq.gz is truncated"),
    "truncated record": (
        to_gzip(text(ONE)[:-40]),
        WHOLE_2,
        "TRUNCATED",
        "lane1_R1.fastq.gz ends in the middle of read 50",
    ),
    "wrong CRC": (
        flip_byte(WHOLE_1, len(WHOLE_1) - 8),
        WHOLE_2,
        "CORRUPT_GZIP",
        f"damaged between byte 0 and {SIZE} of {SIZE}",
    ),
    "wrong length": (flip_byte(WHOLE_1, len(WHOLE_1) - 1), WHOLE_2, "CORRUPT_GZIP", "lane1_R1.fastq.gz is damaged"),
    "second member damaged": (
        WHOLE_1 + flip_byte(WHOLE_1, len(WHOLE_1) - 8),
        WHOLE_2 * 2,
        "CORRUPT_GZIP",
        f"lane1_R1.fastq.gz is damaged between byte {SIZE} and",
    ),
    "damage that looks like invalid reads": (
        flip_byte(to_stored_gzip(text(ONE)), 31),
        WHOLE_2,
        "CORRUPT_GZIP",
        "is damaged",
    ),
    "damage that looks like another name": (
        to_stored_gzip(text(ONE)).replace(b":2003 ", b":2004 ", 1),
        WHOLE_2,
        "CORRUPT_GZIP",
        "is damaged",
    ),
    "junk after the end": (
        WHOLE_1 + b"junk!",
        WHOLE_2,
        "CORRUPT_GZIP",
        "lane1_R1.fastq.gz has 5 extra bytes after the end of the gzip data",
    ),
    "junk after zeros": (
        WHOLE_1 + bytes(70_000) + b"\1",
        WHOLE_2,
        "CORRUPT_GZIP",
        "has 70,001 extra bytes after the end",
    ),
    "fewer mates": (WHOLE_1, to_gzip(text(TWO[:-1])), "MATE_COUNT", "numbers of reads: 50 and 49"),
    "more mates": (to_gzip(text(ONE[:1])), WHOLE_2, "MATE_COUNT", "numbers of reads: 1 and 50"),
    "one empty file": (WHOLE_1, b"", "MATE_COUNT", "numbers of reads: 50 and 0"),
    "other names": (
        WHOLE_1,
        edit_read(TWO, 7, head="other 2:N:0:A"),
        "MATE_NAMES",
        "read 8 has different names in lane1_R1.fastq.gz",
    ),
    "other order": (
        WHOLE_1,
        to_gzip(text([*TWO[1:], TWO[0]])),
        "MATE_NAMES",
        "read 1 has different names in lane1_R1.fastq.gz",
    ),
    "names that differ in the last digit": (
        to_gzip(text([("r1", "ACGT", "FFFF")])),
        to_gzip(text([("r2", "CCCC", "FFFF")])),
        "MATE_NAMES",
        "read 1 has different names in",
    ),
    "the same file twice": (WHOLE_1, WHOLE_1, "SAME_FILE", "contain the same reads"),
    "the same reads, compressed differently": (WHOLE_1, text(ONE), "SAME_FILE", "contain the same reads"),
    "swapped": (WHOLE_2, WHOLE_1, "SWAPPED", "lane1_R1.fastq.gz contains R2 reads and "),
    "R2 and R3": (
        with_endings(ONE, " 2:N:0:A"),
        with_endings(TWO, " 3:N:0:A"),
        "MATE_NAMES",
        "lane1_R1.fastq.gz contains R2 reads and lane1_R2.fastq.gz contains R3 reads: R1 is missing",
    ),
    "R2 and R3 in the names": (with_endings(ONE, "/2"), with_endings(TWO, "/3"), "MATE_NAMES", "R1 is missing"),
    "R3 and a mate without a number": (
        with_endings(ONE, "/3"),
        with_endings(TWO, ""),
        "MATE_NAMES",
        "lane1_R1.fastq.gz contains R3 reads: R1 is missing",
    ),
    "R3 and R1": (with_endings(ONE, "/3"), with_endings(TWO, "/1"), "SWAPPED", "lane1_R2.fastq.gz contains R1 reads"),
    "R2 alone says its number": (
        with_endings(ONE, "/2"),
        with_endings(TWO, ""),
        "SWAPPED",
        "lane1_R1.fastq.gz contains R2 reads: it is swapped with lane1_R2.fastq.gz",
    ),
    "R1 alone says its number": (
        with_endings(ONE, ""),
        with_endings(TWO, "/1"),
        "SWAPPED",
        "lane1_R2.fastq.gz contains R1 reads: it is swapped with lane1_R1.fastq.gz",
    ),
    "wrapped in two lines": (
        wrap(ONE, 20),
        WHOLE_2,
        "MALFORMED",
        "lane1_R1.fastq.gz: read 1 has a sequence of several lines: write each on one line with `seqtk seq`",
    ),
    "wrapped in three lines": (wrap(ONE, 10), WHOLE_2, "MALFORMED", "read 1 has a sequence of several lines"),
    "later reads wrapped": (
        wrap([*ONE[:2], (ONE[2][0], ONE[2][1] * 2, ONE[2][2] * 2)], 30),
        WHOLE_2,
        "MALFORMED",
        "read 3 has a sequence of several lines",
    ),
    "a '+' line is missing": (
        to_gzip(b"@r1\nACGT\nFFFF\n@r2\nACGT\nFFFF\n"),
        WHOLE_2,
        "MALFORMED",
        "read 1 has no '+' line",
    ),
    "gzip of nothing": (to_gzip(b""), to_gzip(b""), "EMPTY", "contain no reads"),
    "empty files": (b"", b"", "EMPTY", "contain no reads"),
    "only blank lines": (to_gzip(b"\n" * 5), to_gzip(b""), "EMPTY", "contain no reads"),
    "not gzip": (b"PK\x03\x04" + bytes(99), WHOLE_2, "NOT_GZIP", "lane1_R1.fastq.gz is named .gz but is not a gzip"),
    "a FASTA": (
        to_gzip(b">chr1\nACGT\n>chr2\nACGT\n"),
        WHOLE_2,
        "MALFORMED",
        "read 1 begins with '>': this is FASTA, which has no qualities; upload the FASTQ",
    ),
    "an extra line": (
        to_gzip(b"\n" + text(ONE)),
        WHOLE_2,
        "MALFORMED",
        "read 1 has no '@' at the start of its header",
    ),
    "a blank line in the middle": (
        to_gzip(text(ONE[:9]) + b"\n" + text(ONE[9:])),
        WHOLE_2,
        "MALFORMED",
        "read 10 has no '@'",
    ),
    "too many blank lines": (
        to_gzip(text(ONE) + b"\n" * 9_999),
        WHOLE_2,
        "MALFORMED",
        "has no '@' at the start of its header",
    ),
    "no '@'": (to_gzip(b"x" + text(ONE)[1:]), WHOLE_2, "MALFORMED", "read 1 has no '@' at the start of its header"),
    "no name": (edit_read(ONE, 3, head=" 1:N:0:A"), WHOLE_2, "MALFORMED", "read 4 has no name"),
    "no name, no comment": (edit_read(ONE, 3, head=""), WHOLE_2, "MALFORMED", "read 4 has no name"),
    "'@' in a name": (
        edit_read(ONE, 3, head="@a"),
        WHOLE_2,
        "MALFORMED",
        "read 4 has '@' in its name, which SAM does not allow",
    ),
    "an umlaut in a name": (
        edit_read(ONE, 3, head="rä"),
        WHOLE_2,
        "MALFORMED",
        "read 4 has byte 0xc3 in its name, which SAM does not allow",
    ),
    "NUL in a name": (edit_read(ONE, 3, head="r\0"), WHOLE_2, "MALFORMED", "read 4 has '\\x00' in its name, which SAM"),
    "no '+' line": (to_gzip(text(ONE).replace(b"\n+\n", b"\n-\n", 1)), WHOLE_2, "MALFORMED", "read 1 has no '+' line"),
    "qualities too short": (edit_read(ONE, 3, qual="F"), WHOLE_2, "MALFORMED", "read 4 has 30 bases but 1 qualities"),
    "no bases": (
        edit_read(ONE, 3, seq="", qual=""),
        WHOLE_2,
        "MALFORMED",
        "read 4 has no bases: trim again with a minimum length",
    ),
    "no bases in the last read": (edit_read(ONE, 49, seq="", qual=""), WHOLE_2, "MALFORMED", "read 50 has no bases"),
    "a digit among bases": (
        edit_read(ONE, 3, seq="A1" * 15),
        WHOLE_2,
        "MALFORMED",
        "read 4 has '1' in its sequence, which is not a base",
    ),
    "a blank among qualities": (
        edit_read(ONE, 3, qual="F " * 15),
        WHOLE_2,
        "MALFORMED",
        "read 4 has ' ' in its qualities, which SAM does not allow",
    ),
    "Phred+64": (
        to_gzip(text(PHRED_64)),
        WHOLE_2,
        "MALFORMED",
        "has Phred+64 qualities (old Illumina): convert them to Phred+33",
    ),
    "other text after the reads": (
        to_gzip(text(ONE) + b"done: exit 0\n"),
        WHOLE_2,
        "MALFORMED",
        f"read {len(ONE) + 1} has no '@' at the start of its header",
    ),
    "other text": (to_gzip(b"not a fastq\n"), WHOLE_2, "MALFORMED", "read 1 has no '@' at the start of its header"),
    "Phred+64 in R2 only": (
        WHOLE_1,
        to_gzip(text([(head, seq, "h" * len(seq)) for head, seq, _ in TWO])),
        "MALFORMED",
        "lane1_R2.fastq.gz has Phred+64 qualities",
    ),
    "a name too long": (edit_read(ONE, 3, head="n" * 255), WHOLE_2, "LIMIT", "read 4 has a name longer than 254 bytes"),
    "a line too long": (to_gzip(b"@r\n" + b"A" * 3_000_000), WHOLE_2, "LIMIT", "line 2 is longer than 1,048,576 bytes"),
    "a read too long": (
        to_gzip(b"@r\n%b\n+\n%b\n" % (b"A" * (1 << 21), b"F" * (1 << 21))),
        WHOLE_2,
        "LIMIT",
        "more than 1,048,576",
    ),
    "reads too long": (
        to_gzip(LONG * 200),
        WHOLE_2,
        "LIMIT",
        "lane1_R1.fastq.gz has long reads from read 1 on: use a pipeline for long reads, this one is for short ones",
    ),
}


@pytest.mark.parametrize(("one", "two", "kind", "message"), BAD.values(), ids=BAD)
def test_every_invalid_file_has_its_class_and_message(
    tmp_path: Path, one: bytes, two: bytes, kind: str, message: str
) -> None:
    with pytest.raises(BadInputError) as raised:
        count_pairs(write_pair(tmp_path, one, two))
    assert raised.value.failure_class == f"BAD_INPUT.{kind}"
    assert message in str(raised.value)


def test_a_decompression_bomb_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip, "RATIO_CHECKED_FROM", 1 << 20)
    read = b"@r\nACGT\n+\nFFFF\n"
    paths = write_pair(tmp_path, to_gzip(read * 1_000_000), to_gzip(read * 1_000_000))
    with pytest.raises(BadInputError, match="expands to more than 200 times its compressed size") as raised:
        count_pairs(paths)
    assert raised.value.failure_class == "BAD_INPUT.LIMIT"


def test_a_name_of_the_maximum_length_of_bam_is_accepted(tmp_path: Path) -> None:
    name = "n" * 254
    paths = write_pair(tmp_path, edit_read(ONE, 3, head=name), edit_read(TWO, 3, head=name))
    assert count_pairs(paths) == COUNT


def test_the_count_of_a_file_that_continues_is_given_as_at_least(tmp_path: Path) -> None:
    read = b"@r\n%b\n+\nFFFF\n"
    paths = write_pair(tmp_path, read % b"ACGT" * 30_000, read % b"CCCC" * 10_003, ".fastq")
    with pytest.raises(BadInputError, match=r"reads: at least 20,000 and 10,003"):
        count_pairs(paths)


@pytest.mark.parametrize(
    ("names", "duplicates"),
    [
        (["a", "b", "c"], 0),
        (["a", "b", "a"], 1),
        (["a", "a", "a"], 2),
        (["a", "b", "c"] * 2, 3),
    ],
)
def test_duplicate_names_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], duplicates: int
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 3)  # so that a file concatenated to itself has a second batch
    one, two = ([(name, bases, "FFFF") for name in names] for bases in ("ACGT", "CCCC"))
    pairs = Pairs(*write_pair(tmp_path, text(one), text(two), ".fastq"))
    assert sum(len(batch) for batch, _ in pairs.batches()) == pairs.count == len(names)
    assert pairs.duplicate_names == duplicates


def test_closing_the_batches_early_ends_their_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 5)
    before = threading.active_count()
    batches = Pairs(*write_pair(tmp_path, WHOLE_1, WHOLE_2)).batches()
    next(batches)
    assert threading.active_count() == before + 2
    batches.close()
    assert threading.active_count() == before


def test_interleave_puts_mates_next_to_each_other(tmp_path: Path) -> None:
    ((one, two),) = Pairs(*write_pair(tmp_path, WHOLE_1, WHOLE_2)).batches()
    expected = [(head.split()[0], seq, qual) for mates in zip(ONE, TWO, strict=True) for head, seq, qual in mates]
    assert interleave(one, two) == text(expected)


def test_a_flipped_bit_is_refused_or_harmless(tmp_path: Path) -> None:
    """Some bits of the gzip header have no meaning. A flip of any other bit is refused."""
    data = to_gzip(text(ONE))
    rng = random.Random(20260302)  # noqa: S311
    for place in [*range(10), *rng.sample(range(10, len(data)), 150)]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.randrange(8)
        paths = write_pair(tmp_path, bytes(damaged), WHOLE_2)
        try:
            ((one, _),) = Pairs(*paths).batches()
        except BadInputError:
            continue
        assert place < 10, f"byte {place}"
        assert one.sequences == [seq.encode() for _, seq, _ in ONE]


def test_a_truncated_bgzf_file_is_always_refused(tmp_path: Path) -> None:
    data = bgzf(text(ONE))
    for end in random.Random(20260302).sample(range(len(data) - 28), 100):  # noqa: S311  the last 28 bytes are an empty block
        with pytest.raises(BadInputError):
            count_pairs(write_pair(tmp_path, data[:end], WHOLE_2))


@pytest.mark.parametrize(("qualities", "possible"), [
    ([], False),
    ([b";Ph"], True),
    ([b":Ph"], False),  # ';' is the lowest one
    ([b";P", b"i"], True),
    ([b";P", b"j"], False),
    ([b";P"], True),
    ([b";O"], False),
])  # fmt: skip
def test_qualities_from_semicolon_to_i_are_possible_in_phred64(qualities: list[bytes], possible: bool) -> None:
    assert may_be_phred64(qualities) is possible


@pytest.mark.parametrize("quality", ["!", '"', "~"])
def test_the_lowest_and_the_highest_quality_of_sam_are_valid(tmp_path: Path, quality: str) -> None:
    pairs = [[(head, seq, quality + "I" * (len(seq) - 1)) for head, seq, _ in reads] for reads in (ONE, TWO)]
    assert count_pairs(write_pair(tmp_path, *(text(reads) for reads in pairs), ".fastq")) == COUNT


@pytest.mark.parametrize("quality", [" ", "\x7f"])
def test_other_qualities_are_refused(tmp_path: Path, quality: str) -> None:
    one = [(head, seq, f"I{quality}{'I' * (len(seq) - 2)}") for head, seq, _ in ONE]
    with pytest.raises(BadInputError, match=r"read 1 has '.*' in its qualities, which SAM does not allow"):
        count_pairs(write_pair(tmp_path, text(one), text(TWO), ".fastq"))


def test_the_median_length_of_no_reads_is_zero() -> None:
    assert median_length(Batch([], [], [], b"")) == 0
    assert median_length(Batch([b"a", b"b", b"c"], [b"A", b"ACG", b"ACGTA"], [b"I"] * 3, b"")) == 3


@pytest.mark.parametrize("data", [WHOLE_1, text(ONE)], ids=["gzip", "plain"])
def test_a_file_is_closed_when_the_reading_ends(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "reads"
    path.write_bytes(data)
    with gunzip.GzipReader(path) as file:
        next(iter(file))
        assert is_open(path)
    assert not is_open(path)


def is_open(path: Path) -> bool:
    return str(path) in {os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("best", ["I", "~"], ids=["of old sequencers", "of long accurate reads"])
def test_high_phred33_qualities_are_not_mistaken_for_phred64(tmp_path: Path, best: str) -> None:
    pairs = [[(head, seq, best * len(seq)) for head, seq, _ in reads] for reads in (ONE, TWO)]
    assert count_pairs(write_pair(tmp_path, *(text(reads) for reads in pairs), ".fastq")) == COUNT


@pytest.mark.parametrize(
    ("head", "group"),
    [
        (fastq(1, lane=3), "HXYZTDSXX.3"),
        (bgzf(text(records(1, 9, lane=4))), "HXYZTDSXX.4"),
        (gzip.compress(text(records(1, 5_000)))[:2_000], "HXYZTDSXX.1"),
        (b"@M00123:12:000000000-ABCDE:1:1101:15589:1332 1:N:0:1\nACGT", "000000000-ABCDE.1"),
        (b"@M00123:12:000000000-ABCDE:1:1101:15589:1332/1", "000000000-ABCDE.1"),
        (b"@HWUSI-EAS100R:6:73:941:1973#0/1\nACGT", None),
        (b"@SRR001666.1 071112_SLXA-EAS1_s_7:5:1:817:345 length=36\n", None),
        (b"@A:1:fc\\tSM-x:1:1101:1:1\n", None),  # bwa converts \t to a tab
        (b"@A:1:f,c:1:1101:1:1\n", None),  # an extra column in Isaac's sample sheet
        (b"@A:1:\xc3\xa4:1:1101:1:1\n", None),
        (b"\x1f\x8bnot gzip", None),
        (b"", None),
    ],
)
def test_the_read_group_is_flowcell_and_lane(head: bytes, group: str | None) -> None:
    assert read_group(head) == group


def test_verify_checksum_repeats_an_error_that_the_iteration_raised(tmp_path: Path) -> None:
    path, _ = write_pair(tmp_path, flip_byte(WHOLE_1, len(WHOLE_1) - 8), b"")
    with gunzip.GzipReader(path) as file:
        with pytest.raises(BadInputError, match="is damaged"):
            list(file)
        with pytest.raises(BadInputError, match="is damaged"):
            file.verify_checksum()


def later_copy(start: int, count: int = 3_000) -> tuple[bytes, bytes]:
    """Return a pair in which R2 has the bases and qualities of R1 from a read on, under its own names."""
    one, two = records(1, count), records(2, count)
    copied = [(head, seq, qual) for (head, _, _), (_, seq, qual) in zip(two[start:], one[start:], strict=True)]
    return text(one), text([*two[:start], *copied])


@pytest.mark.parametrize("start", [0, 1, 1_000, 2_000])
def test_a_file_that_continues_as_a_copy_of_its_mate_is_refused(tmp_path: Path, start: int) -> None:
    with pytest.raises(BadInputError, match="contain the same reads") as raised:
        count_pairs(write_pair(tmp_path, *later_copy(start), ".fastq"))
    assert raised.value.failure_class == "BAD_INPUT.SAME_FILE"


@pytest.mark.parametrize("batch", [500, 1_000])
def test_a_copy_in_later_batches_is_refused(tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", batch)
    paths = write_pair(tmp_path, *later_copy(1_000), ".fastq")
    if batch < MIN_SAME:
        assert count_pairs(paths) == 3_000  # no batch is long enough
        return
    with pytest.raises(BadInputError, match="contain the same reads at pair 2,000"):
        count_pairs(paths)


@pytest.mark.parametrize("shift", [1, 77])
@pytest.mark.parametrize("later", [0, 1])
def test_a_file_that_begins_with_a_later_read_of_its_mate_is_refused(tmp_path: Path, shift: int, later: int) -> None:
    reads = records(1, 300)
    heads = [head for head, _, _ in reads]
    shifted = [(head, seq, qual) for head, (_, seq, qual) in zip(heads, reads[shift:], strict=False)]
    files = [text(reads[: len(shifted)]), text(shifted)]
    message = f"R{2 - later} begins with read {shift + 1} of R{1 + later}"
    with pytest.raises(BadInputError, match=message):
        count_pairs(write_pair(tmp_path, files[later], files[1 - later], ".fastq"))


@pytest.mark.parametrize("number", [1_500, 9_999, 10_000, 10_001, 12_345])
def test_a_wrong_mate_is_found_anywhere_in_a_batch(tmp_path: Path, number: int) -> None:
    one, two = records(1, 12_345), records(2, 12_345)
    two[number - 1] = ("another", *two[number - 1][1:])
    with pytest.raises(BadInputError, match=f"read {number} has different names in") as raised:
        count_pairs(write_pair(tmp_path, text(one), text(two), ".fastq"))
    assert raised.value.failure_class == "BAD_INPUT.MATE_NAMES"


@pytest.mark.parametrize("same", [MIN_SHIFTED - 1, MIN_SHIFTED, 200])
def test_files_that_begin_with_the_same_reads_are_refused(tmp_path: Path, same: int) -> None:
    one, two = records(1, 300), records(2, 300)
    copied = [(head, seq, qual) for (head, _, _), (_, seq, qual) in zip(two, one[:same], strict=False)]
    paths = write_pair(tmp_path, text(one), text([*copied, *two[same:]]), ".fastq")
    if same < MIN_SHIFTED:
        assert count_pairs(paths) == 300
        return
    with pytest.raises(BadInputError, match="contain the same reads: R2 begins with read 1 of R1"):
        count_pairs(paths)


@pytest.mark.parametrize("later", [0, 1])
def test_a_file_that_begins_with_a_read_of_a_later_batch_of_its_mate_is_refused(
    tmp_path: Path, later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    one = records(1, 300)
    two = [(head, seq, qual) for (head, _, _), (_, seq, qual) in zip(one, one[150:], strict=False)]
    two += [(head, seq[::-1], qual) for head, seq, qual in one[150:]]
    files = [text(one), text(two)]
    with pytest.raises(BadInputError, match=f"R{2 - later} begins with read 151 of R{1 + later}") as raised:
        count_pairs(write_pair(tmp_path, files[later], files[1 - later], ".fastq"))
    assert raised.value.failure_class == "BAD_INPUT.SAME_FILE"


def test_equal_reads_of_one_amplicon_at_the_beginning_are_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_SIZE", 100)
    one, two = records(1, 300), records(2, 300)
    same = one[0][1:]
    one = [(head, *same) if number < 50 else (head, *read) for number, (head, *read) in enumerate(one)]
    two = [(head, *same) if 150 <= number < 250 else (head, *read) for number, (head, *read) in enumerate(two)]
    assert count_pairs(write_pair(tmp_path, text(one), text(two), ".fastq")) == 300


def test_a_few_equal_mates_are_no_copy(tmp_path: Path) -> None:
    one, two = records(1, 3_000), records(2, 3_000)
    nothing = [("N" * 30, "#" * 30)] * 900
    files = [
        text([*reads[:2_100], *((head, *read) for (head, _, _), read in zip(reads[2_100:], nothing, strict=True))])
        for reads in (one, two)
    ]
    assert count_pairs(write_pair(tmp_path, *files, ".fastq")) == 3_000


def test_mates_of_different_lengths_and_possible_phred64_qualities_are_doubts(tmp_path: Path) -> None:
    one = [(head, seq, "Bh" * 75) for head, seq, _ in records(1, 50, length=150)]
    two = records(2, 50, length=36)
    pairs = Pairs(*write_pair(tmp_path, text(one), text(two), ".fastq"))
    assert sum(len(batch) for batch, _ in pairs.batches()) == 50
    assert pairs.warnings == [
        (
            "QUALITY_OFFSET",
            "lane1_R1.fastq has no quality below Q33: convert it if it is Phred+64 and not of consensus reads",
        ),
        (
            "MATE_LENGTHS",
            "half of the reads of lane1_R1.fastq and lane1_R2.fastq have at most 150 and 36 bases: is one of them a "
            "barcode or a UMI?",
        ),
    ]
