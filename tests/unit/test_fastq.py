"""seqdrop.fastq: what is accepted, and what each bad file is called."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from pathlib import Path

import pytest
from made_reads import Record, fastq, records, text, zipped
from seqdrop import fastq as reader
from seqdrop.failure import BadInputError

COUNT = 50
ONE, TWO = records(1, COUNT), records(2, COUNT)


def write(folder: Path, one: bytes, two: bytes, ending: str = ".fastq.gz") -> tuple[Path, Path]:
    paths = folder / f"lane1_R1{ending}", folder / f"lane1_R2{ending}"
    for path, data in zip(paths, (one, two), strict=True):
        path.write_bytes(data)
    return paths


def bgzf(data: bytes, block: int = 700) -> bytes:
    """As bcl2fastq and bgzip write: small members that say their size, and an empty one at the end."""
    blocks = []
    for start in range(0, len(data) + block, block):
        part = data[start : start + block]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
        blocks.append(head + body + struct.pack("<2I", zlib.crc32(part), len(part)))
    return b"".join(blocks)


GOOD = {
    "gzip": (zipped(text(ONE)), zipped(text(TWO)), ".fastq.gz"),
    "several members": (
        zipped(text(ONE[:20])) + zipped(text(ONE[20:])),
        zipped(text(TWO[:7])) + zipped(text(TWO[7:])),
        ".fastq.gz",
    ),
    "BGZF": (bgzf(text(ONE)), bgzf(text(TWO)), ".fastq.gz"),
    "padded with zeros": (zipped(text(ONE)) + bytes(512), zipped(text(TWO)), ".fastq.gz"),
    "plain": (text(ONE), text(TWO), ".fastq"),
    "plain, but named .gz": (text(ONE), zipped(text(TWO)), ".fastq.gz"),
    "CRLF": (zipped(text(ONE, "\r\n")), zipped(text(TWO, "\r\n")), ".fastq.gz"),
    "no final newline": (zipped(text(ONE)[:-1]), zipped(text(TWO)[:-1]), ".fastq.gz"),
    "blank lines at the end": (zipped(text(ONE) + b"\n\n"), zipped(text(TWO)), ".fastq.gz"),
}


@pytest.mark.parametrize(("one", "two", "ending"), GOOD.values(), ids=GOOD)
def test_fastqs_as_they_are_found_in_the_wild_are_counted_right(
    tmp_path: Path, one: bytes, two: bytes, ending: str
) -> None:
    assert reader.count(*write(tmp_path, one, two, ending)) == COUNT


@pytest.mark.parametrize(("one", "two", "ending"), GOOD.values(), ids=GOOD)
def test_they_are_read_as_the_same_reads(tmp_path: Path, one: bytes, two: bytes, ending: str) -> None:
    ((first, second),) = reader.pairs(*write(tmp_path, one, two, ending))
    names = [head.split()[0].encode() for head, _, _ in ONE]
    for batch, made, mate in ((first, ONE, b"1"), (second, TWO, b"2")):
        assert batch == reader.Batch(
            names, [seq.encode() for _, seq, _ in made], [qual.encode() for _, _, qual in made], mate
        )


@pytest.mark.parametrize(("header", "mate"), [("casava", b"1"), ("slash", b"1"), ("bare", b"")])
def test_names_are_the_same_however_a_header_says_the_mate(tmp_path: Path, header: str, mate: bytes) -> None:
    paths = write(tmp_path, fastq(1, 3, header=header), fastq(2, 3, header=header))
    ((one, two),) = reader.pairs(*paths)
    assert one.names == two.names == [head.split()[0].encode() for head, _, _ in records(1, 3)]
    assert one.mate == mate


@pytest.mark.parametrize("count", [1, 9_999, 10_000, 10_001, 20_000])
def test_counts_are_right_about_the_end_of_a_batch(tmp_path: Path, count: int) -> None:
    read = "@r\n{}\n+\nFFFF\n"
    paths = write(tmp_path, (read.format("ACGT") * count).encode(), (read.format("CCCC") * count).encode(), ".fastq")
    assert reader.count(*paths) == count
    assert [len(one) for one, _ in reader.pairs(*paths)] == [10_000] * (count // 10_000) + [count % 10_000] * (
        count % 10_000 > 0
    )


def test_a_blank_line_after_a_whole_batch_does_no_harm_either(tmp_path: Path) -> None:
    read = "@r\n{}\n+\nFFFF\n"
    one, two = (read.format(bases) * 10_000 for bases in ("ACGT", "CCCC"))
    assert reader.count(*write(tmp_path, f"{one}\n".encode(), two.encode(), ".fastq")) == 10_000


def changed(made: list[Record], place: int, **change: str) -> bytes:
    """The file with one record made otherwise: head, seq or qual."""
    record = dict(zip(("head", "seq", "qual"), made[place], strict=True)) | change
    return zipped(text([*made[:place], (record["head"], record["seq"], record["qual"]), *made[place + 1 :]]))


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


WHOLE_1, WHOLE_2 = zipped(text(ONE)), zipped(text(TWO))
PHRED_64 = [(head, seq, "h" * len(seq)) for head, seq, _ in ONE]
BAD = {
    "cut gzip": (WHOLE_1, WHOLE_2[: len(WHOLE_2) // 2], "TRUNCATED", "lane1_R2.fastq.gz is cut off"),
    "gzip without its trailer": (WHOLE_1, WHOLE_2[:-8], "TRUNCATED", "lane1_R2.fastq.gz is cut off"),
    "second member cut": (WHOLE_1 + WHOLE_1[:-20], WHOLE_2 * 2, "TRUNCATED", "lane1_R1.fastq.gz is cut off"),
    "wrong CRC": (flipped(WHOLE_1, len(WHOLE_1) - 8), WHOLE_2, "CORRUPT_GZIP", "lane1_R1.fastq.gz is damaged"),
    "wrong length": (flipped(WHOLE_1, len(WHOLE_1) - 1), WHOLE_2, "CORRUPT_GZIP", "lane1_R1.fastq.gz is damaged"),
    "junk after the end": (
        WHOLE_1 + b"this is no second member",
        WHOLE_2,
        "CORRUPT_GZIP",
        "lane1_R1.fastq.gz is damaged",
    ),
    "cut record": (zipped(text(ONE)[:-40]), WHOLE_2, "TRUNCATED", "lane1_R1.fastq.gz ends in the middle of read 50"),
    "fewer mates": (WHOLE_1, zipped(text(TWO[:-1])), "MATE_COUNT", "do not hold the same number of reads"),
    "more mates": (zipped(text(ONE[:1])), WHOLE_2, "MATE_COUNT", "do not hold the same number of reads"),
    "other names": (WHOLE_1, changed(TWO, 7, head="other 2:N:0:A"), "MATE_NAMES", "read 8 of lane1_R1.fastq.gz"),
    "other order": (WHOLE_1, zipped(text([*TWO[1:], TWO[0]])), "MATE_NAMES", "read 1 of lane1_R1.fastq.gz"),
    "the same file twice": (WHOLE_1, WHOLE_1, "SAME_FILE", "hold the same reads"),
    "the same reads, packed otherwise": (WHOLE_1, text(ONE), "SAME_FILE", "hold the same reads"),
    "swapped": (WHOLE_2, WHOLE_1, "SWAPPED", "lane1_R1.fastq.gz holds second mates"),
    "gzip of nothing": (zipped(b""), zipped(b""), "EMPTY", "hold no reads"),
    "no bytes": (b"", b"", "EMPTY", "hold no reads"),
    "one mate of no bytes": (WHOLE_1, b"", "MATE_COUNT", "do not hold the same number of reads"),
    "qualities too short": (changed(ONE, 3, qual="F"), WHOLE_2, "MALFORMED", "30 bases but 1 qualities in read 4"),
    "no bases": (changed(ONE, 3, seq="", qual=""), WHOLE_2, "MALFORMED", "no bases in read 4"),
    "no name": (zipped(b"x" + text(ONE)[1:]), WHOLE_2, "MALFORMED", "no '@' where a name should begin in read 1"),
    "a line too many": (zipped(b"\n" + text(ONE)), WHOLE_2, "TRUNCATED", "ends in the middle of read 51"),
    "Phred+64": (zipped(text(PHRED_64)), WHOLE_2, "MALFORMED", "has Phred+64 qualities (old Illumina)"),
    "not gzip": (b"PK\x03\x04" + bytes(99), WHOLE_2, "NOT_GZIP", "lane1_R1.fastq.gz is named .gz but is no gzip"),
    "a FASTA": (zipped(b">chr1\nACGT\n>chr2\nACGT\n"), WHOLE_2, "MALFORMED", "no '@' where a name should begin"),
}


@pytest.mark.parametrize(("one", "two", "kind", "sentence"), BAD.values(), ids=BAD)
def test_each_bad_file_has_its_class_and_its_sentence(
    tmp_path: Path, one: bytes, two: bytes, kind: str, sentence: str
) -> None:
    with pytest.raises(BadInputError) as raised:
        reader.count(*write(tmp_path, one, two))
    assert raised.value.failure_class == f"BAD_INPUT.{kind}"
    assert sentence in str(raised.value)


def test_a_missing_plus_line_is_named(tmp_path: Path) -> None:
    data = text(ONE).replace(b"\n+\n", b"\n-\n", 1)
    with pytest.raises(BadInputError, match="no '\\+' line in read 1"):
        reader.count(*write(tmp_path, data, text(TWO), ".fastq"))


def test_no_flipped_bit_goes_unseen(tmp_path: Path) -> None:
    """Of the gzip's own header some bits mean nothing; with any other one flipped the reads are refused."""
    whole = zipped(text(ONE))
    made = random.Random(20260302)  # noqa: S311
    for place in [*range(10), *made.sample(range(10, len(whole)), 150)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << made.randrange(8)
        paths = write(tmp_path, bytes(damaged), WHOLE_2)
        try:
            ((one, _),) = reader.pairs(*paths)
        except BadInputError:
            continue
        assert place < 10, f"byte {place}"
        assert one.sequences == [seq.encode() for _, seq, _ in ONE]


def test_no_cut_goes_unseen(tmp_path: Path) -> None:
    whole = bgzf(text(ONE))
    for end in random.Random(20260302).sample(range(len(whole) - 28), 100):  # noqa: S311  the last 28 bytes are an empty block
        with pytest.raises(BadInputError):
            reader.count(*write(tmp_path, whole[:end], WHOLE_2))


def test_old_reads_with_the_best_phred33_qualities_are_not_taken_for_phred64(tmp_path: Path) -> None:
    best = [[(head, seq, "I" * len(seq)) for head, seq, _ in made] for made in (ONE, TWO)]
    assert reader.count(*write(tmp_path, *(text(made) for made in best), ".fastq")) == COUNT


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
        (b"\x1f\x8bnot gzip", None),
        (b"", None),
    ],
)
def test_the_read_group_is_flowcell_and_lane(head: bytes, group: str | None) -> None:
    assert reader.read_group(head) == group
