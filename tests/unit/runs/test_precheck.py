"""seqdrop.runs.precheck: faults that the first bytes of a pair show."""

from __future__ import annotations

import gzip
import random

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.runs.precheck import MAX_TEXT, READ_SIZE, Beginning, check_mates
from support.made_reads import records, text, to_gzip

ONE, TWO = text(records(1, 4)), text(records(2, 4))
NAMES = {1: "S_R1.fastq.gz", 2: "S_R2.fastq.gz"}


def check(one: bytes, two: bytes) -> tuple[Beginning, Beginning]:
    """Check two objects with these bytes as start_run does."""
    beginnings = [Beginning.parse(NAMES[mate], len(data), data[:READ_SIZE]) for mate, data in enumerate((one, two), 1)]
    check_mates(beginnings[0], beginnings[1])
    return beginnings[0], beginnings[1]


def refusal(one: bytes, two: bytes) -> tuple[str, str]:
    """Return the failure class and the message."""
    with pytest.raises(BadInputError) as raised:
        check(one, two)
    return raised.value.failure_class.removeprefix("BAD_INPUT."), str(raised.value)


def incompressible(mate: int, size: int) -> bytes:
    """Return at least `size` bytes of gzip."""
    reads = size // 200
    letters = random.Random(mate).randbytes(100 * reads).translate(bytes(b"ACGT"[n % 4] for n in range(256))).decode()  # noqa: S311
    lines = "".join(f"@r{n}\n{letters[100 * n : 100 * n + 100]}\n+\n{'F' * 100}\n" for n in range(reads))
    return gzip.compress(lines.encode(), 0, mtime=0)


def read_ids(mate: int, separator: str = ".") -> bytes:
    """Return reads with the names of `fastq-dump --readids`."""
    return text([(f"SRR1.{n}{separator}{mate} {n} length=30", seq, qual) for n, (_, seq, qual) in
                 enumerate(records(mate, 4), 1)])  # fmt: skip


SAME = text(records(1, 2_000, length=100))  # more than the first bytes hold
READABLE = {
    "plain": (ONE, TWO),
    "gzip": (to_gzip(ONE), to_gzip(TWO)),
    "one of each": (ONE, to_gzip(TWO)),
    "members": (to_gzip(ONE[:100]) + to_gzip(ONE[100:]), to_gzip(b"") + to_gzip(TWO)),
    "zero padding": (to_gzip(ONE) + bytes(512), to_gzip(TWO)),
    "CRLF": (text(records(1, 4), "\r\n"), to_gzip(TWO)),
    "no final newline": (ONE[:-1], TWO[:-1]),
    "blank lines at the end": (ONE + b"\n\n\n\n\n", TWO + b"\n"),
    "slashes": (text(records(1, 4, header="slash")), text(records(2, 4, header="slash"))),
    "one mate trimmed to a third": (text(records(1, 9, length=90)), text(records(2, 9, length=30))),
    "a short mate that can be aligned": (text(records(1, 9, length=150)), text(records(2, 9, length=36))),
    "two short mates": (text(records(1, 9, length=25)), text(records(2, 9, length=20))),
    "bare names": (text(records(1, 4, header="bare")), text(records(2, 4, header="bare"))),
}


@pytest.mark.parametrize("case", READABLE)
def test_a_readable_pair_is_accepted(case: str) -> None:
    one, two = check(*READABLE[case])
    assert len(one.reads) == len(two.reads) in {4, 9}


def test_the_advice_for_different_names_fits_their_format() -> None:
    """Case 18-readids."""
    for separator in "._:":
        with pytest.raises(BadInputError) as raised:
            check(read_ids(1, separator), read_ids(2, separator))
        assert raised.value.what_to_do == (
            f"Download the reads again without `--readids`, or remove {separator}1 and {separator}2 from the names, "
            "then upload both."
        )
    with pytest.raises(BadInputError) as raised:
        check(ONE, text(records(2, 4, lane=2)))
    assert raised.value.what_to_do == ""


def qualities_from(low: int, high: int, count: int = 200) -> bytes:
    rng = random.Random(low)  # noqa: S311
    letters = [chr(33 + quality) for quality in range(low, high + 1)]
    return text([(f"r{n}", "ACGTA" * 6, "".join(rng.choices(letters, k=30))) for n in range(count)])


@pytest.mark.parametrize(("low", "high"), [(32, 70), (31, 60), (26, 72), (40, 70), (32, 93), (2, 41)])
def test_consensus_qualities_are_not_taken_for_phred64(low: int, high: int) -> None:
    """Case 08-consensus-quality."""
    check(qualities_from(low, high), text([(f"r{n}", "TTTTT" * 6, "F" * 30) for n in range(200)]))


@pytest.mark.parametrize("tail", [0, 10, 20], ids=lambda tail: f"{tail} unreliable bases")
def test_phred64_qualities_of_old_sequencers_are_refused(tail: int) -> None:
    rng = random.Random(tail)  # noqa: S311
    best = [("".join(rng.choices("hhhhggffea`_ZXT", k=30 - tail)) + "B" * tail) for _ in range(200)]
    one = text([(f"r{n}", "ACGTA" * 6, quality) for n, quality in enumerate(best)])
    two = text([(f"r{n}", "TTTTT" * 6, "F" * 30) for n in range(200)])
    assert refusal(one, two) == (
        "MALFORMED",
        "S_R1.fastq.gz has Phred+64 qualities (old Illumina): convert them to Phred+33 (`seqtk seq -VQ64`)",
    )


REFUSED = {
    "no bytes": (b"", TWO, "EMPTY", "S_R1.fastq.gz is empty: it has no bytes"),
    "gzip of nothing": (to_gzip(b""), to_gzip(TWO), "EMPTY", "S_R1.fastq.gz has no reads"),
    "another format": (b"BZh91AY&SY" + bytes(99), to_gzip(TWO), "NOT_GZIP", "S_R1.fastq.gz is not a gzip file"),
    "a BAM": (to_gzip(b"BAM\1" + bytes(99)), to_gzip(TWO), "EMPTY|TRUNCATED|MALFORMED", "S_R1.fastq.gz"),
    "damaged": (b"\x1f\x8bnot gzip", TWO, "CORRUPT_GZIP", "S_R1.fastq.gz is damaged: it cannot be unzipped"),
    "plain text, truncated": (ONE[:-40], TWO, "TRUNCATED", "S_R1.fastq.gz ends in the middle of read 4"),
    "no name": (ONE, b"@r\nA\n+\nF\nr\nA\n+\nF\n", "MALFORMED", "S_R2.fastq.gz: read 2 has no '@' at the start"),
    "no plus": (ONE, b"@r\nA\n-\nF\n", "MALFORMED", "S_R2.fastq.gz: read 1 has no '+' line"),
    "no bases": (ONE + b"@x\n\n+\n\n", TWO, "MALFORMED", "S_R1.fastq.gz: read 5 has no bases"),
    "lengths": (b"@r\nACGT\n+\nF\n", TWO, "MALFORMED", "S_R1.fastq.gz: read 1 has 4 bases but 1 qualities"),
    "Phred+64": (ONE, b"@r\nACGT\n+\nfg;h\n", "MALFORMED", "S_R2.fastq.gz has Phred+64 qualities"),
    "different names": (
        ONE,
        text(records(2, 4, lane=2)),
        "MATE_NAMES",
        "read 1 has different names in S_R1.fastq.gz and S_R2",
    ),
    "the same reads": (to_gzip(ONE), ONE, "SAME_FILE", "S_R1.fastq.gz and S_R2.fastq.gz contain the same reads"),
    "swapped": (TWO, ONE, "SWAPPED", "S_R1.fastq.gz contains R2 reads and S_R2.fastq.gz contains R1"),
    "swapped, with slashes": (
        text(records(2, 4, header="slash")),
        text(records(1, 4, header="slash")),
        "SWAPPED",
        "S_R1.fastq.gz contains R2 reads",
    ),
    "swapped, only R1 has mate numbers": (
        TWO,
        text(records(1, 4, header="bare")),
        "SWAPPED",
        "S_R1.fastq.gz contains R2 reads",
    ),
    "the same reads, packed at another level": (
        gzip.compress(SAME, 1, mtime=0),
        gzip.compress(SAME, 9, mtime=0),
        "SAME_FILE",
        "contain the same reads",
    ),
    "the same reads under other names": (
        to_gzip(ONE),
        text([(head + "x", seq, qual) for head, seq, qual in records(1, 4)]),
        "SAME_FILE",
        "contain the same reads",
    ),
    "a UMI as R2": (
        text(records(1, 9, length=100)),
        text(records(2, 9, length=8)),
        "MATE_LENGTHS",
        "the reads of S_R2.fastq.gz have 8 bases, those of S_R1.fastq.gz 100: S_R2.fastq.gz looks like a barcode",
    ),
    "a barcode as R1": (
        to_gzip(text(records(1, 9, length=16))),
        to_gzip(text(records(2, 9, length=91))),
        "MATE_LENGTHS",
        "S_R1.fastq.gz looks like a barcode or a UMI",
    ),
    "names of fastq-dump --readids": (
        read_ids(1),
        read_ids(2),
        "MATE_NAMES",
        "read 1 has different names in S_R1.fastq.gz and S_R2.fastq.gz: they end with .1 and .2, as `fastq-dump",
    ),
    "one mate is much smaller": (
        incompressible(1, 3 << 20),
        incompressible(2, 1 << 16),
        "MATE_COUNT",
        "times as large as S_R2.fastq.gz: one of them is incomplete",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_faulty_pair_is_refused_with_its_class_and_message(case: str) -> None:
    one, two, classes, expected = REFUSED[case]
    failure_class, message = refusal(one, two)
    assert failure_class in classes.split("|")
    assert expected in message


def test_the_sizes_of_plain_text_and_gzip_are_not_compared() -> None:
    one, two = check(ONE * 6_000, to_gzip(TWO * 6_000))
    assert one.size > 10 * two.size


def test_a_truncated_small_gzip_file_is_left_to_the_job() -> None:
    check(to_gzip(ONE)[:-20], to_gzip(TWO))


def test_a_file_larger_than_the_first_bytes_is_not_truncated() -> None:
    one, two = check(incompressible(1, 1 << 18), incompressible(2, 1 << 18))
    assert len(one.reads) > 100 < len(two.reads)


def test_a_line_longer_than_the_first_bytes_is_left_to_the_job() -> None:
    long_line = b"@r\n" + b"A" * (2 * READ_SIZE)
    one, _ = check(long_line, long_line)
    assert len(one.reads) == 0


def test_the_text_of_a_gzip_bomb_is_bounded() -> None:
    bomb = gzip.compress(b"@r\n" + b"A" * (50 << 20))
    assert len(bomb) < READ_SIZE
    assert len(check(bomb, bomb)[0].reads) == 0
    data = b"".join(gzip.compress(b"A" * MAX_TEXT) for _ in range(20))
    assert refusal(b"@" + data, data)[0] in {"MALFORMED", "TRUNCATED"}


def test_plain_text_that_is_not_a_fastq_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"S\.fastq is not a FASTQ") as raised:
        Beginning.parse("S.fastq", 5, b">r1\nA")
    assert raised.value.failure_class == "BAD_INPUT.MALFORMED"


def test_bytes_after_the_gzip_data_are_left_to_the_job() -> None:
    extra = b"a note"
    one, _ = check(to_gzip(ONE) + extra, to_gzip(TWO) + extra)
    assert one.reads == Beginning.parse(NAMES[1], len(to_gzip(ONE)), to_gzip(ONE)).reads
