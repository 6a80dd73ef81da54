"""seqdrop.runs.precheck: what the first bytes of a pair show."""

from __future__ import annotations

import gzip
import random

import pytest
from seqdrop.failure.verdict import BadInputError
from seqdrop.runs.precheck import MAX_TEXT, READ_SIZE, Beginning, check_mates
from support.made_reads import records, text, to_gzip

ONE, TWO = text(records(1, 4)), text(records(2, 4))
NAMES = {1: "S_R1.fastq.gz", 2: "S_R2.fastq.gz"}


def looked_at(one: bytes, two: bytes) -> tuple[Beginning, Beginning]:
    """As start_run looks at two objects that hold these bytes."""
    beginnings = [Beginning.parse(NAMES[mate], len(data), data[:READ_SIZE]) for mate, data in enumerate((one, two), 1)]
    check_mates(beginnings[0], beginnings[1])
    return beginnings[0], beginnings[1]


def refused(one: bytes, two: bytes) -> tuple[str, str]:
    with pytest.raises(BadInputError) as raised:
        looked_at(one, two)
    return raised.value.failure_class.removeprefix("BAD_INPUT."), str(raised.value)


def incompressible(mate: int, size: int) -> bytes:
    """At least `size` bytes of gzip."""
    made = random.Random(mate)  # noqa: S311
    reads = size // 40
    letters = (made.choices("ACGT", k=100) for _ in range(reads))
    return to_gzip("".join(f"@r{n}\n{''.join(bases)}\n+\n{'F' * 100}\n" for n, bases in enumerate(letters)).encode())


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
    "bare names": (text(records(1, 4, header="bare")), text(records(2, 4, header="bare"))),
}


@pytest.mark.parametrize("how", READABLE)
def test_what_is_readable_is_let_through(how: str) -> None:
    one, two = looked_at(*READABLE[how])
    assert len(one.reads) == len(two.reads) == 4


REFUSED = {
    "no bytes": (b"", TWO, "EMPTY", "S_R1.fastq.gz is empty: it has no bytes"),
    "gzip of nothing": (to_gzip(b""), to_gzip(TWO), "EMPTY", "S_R1.fastq.gz has no reads"),
    "another format": (b"BZh91AY&SY" + bytes(99), to_gzip(TWO), "NOT_GZIP", "S_R1.fastq.gz is not a gzip file"),
    "a BAM": (to_gzip(b"BAM\1" + bytes(99)), to_gzip(TWO), "EMPTY|TRUNCATED|MALFORMED", "S_R1.fastq.gz"),
    "damaged": (b"\x1f\x8bnot gzip", TWO, "CORRUPT_GZIP", "S_R1.fastq.gz is damaged: it cannot be unzipped"),
    "plain, cut": (ONE[:-40], TWO, "TRUNCATED", "S_R1.fastq.gz ends in the middle of read 4"),
    "no name": (ONE, b"@r\nA\n+\nF\nr\nA\n+\nF\n", "MALFORMED", "S_R2.fastq.gz: read 2 has no '@' at the start"),
    "no plus": (ONE, b"@r\nA\n-\nF\n", "MALFORMED", "S_R2.fastq.gz: read 1 has no '+' line"),
    "no bases": (ONE + b"@x\n\n+\n\n", TWO, "MALFORMED", "S_R1.fastq.gz: read 5 has no bases"),
    "lengths": (b"@r\nACGT\n+\nF\n", TWO, "MALFORMED", "S_R1.fastq.gz: read 1 has 4 bases but 1 qualities"),
    "Phred+64": (ONE, b"@r\nACGT\n+\nfg;h\n", "MALFORMED", "S_R2.fastq.gz has Phred+64 qualities"),
    "other names": (
        ONE,
        text(records(2, 4, lane=2)),
        "MATE_NAMES",
        "read 1 has different names in S_R1.fastq.gz and S_R2",
    ),
    "the same reads": (to_gzip(ONE), ONE, "SAME_FILE", "S_R1.fastq.gz and S_R2.fastq.gz contain the same reads"),
    "swapped": (TWO, ONE, "SWAPPED", "S_R1.fastq.gz contains R2 reads or S_R2.fastq.gz contains R1"),
    "swapped, by slashes": (
        text(records(2, 4, header="slash")),
        text(records(1, 4, header="slash")),
        "SWAPPED",
        "S_R1.fastq.gz contains R2 reads",
    ),
    "one says it": (TWO, text(records(1, 4, header="bare")), "SWAPPED", "S_R1.fastq.gz contains R2 reads"),
    "a mate much smaller": (
        incompressible(1, 3 << 20),
        incompressible(2, 1 << 16),
        "MATE_COUNT",
        "times as large as S_R2.fastq.gz: one of them is incomplete",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_the_beginning_shows_is_refused_by_name(how: str) -> None:
    one, two, kind, sentence = REFUSED[how]
    found, said = refused(one, two)
    assert found in kind.split("|")
    assert sentence in said


def test_the_size_of_plain_text_says_nothing_of_a_packed_mate() -> None:
    one, two = looked_at(ONE * 6_000, to_gzip(TWO * 6_000))
    assert one.size > 10 * two.size


def test_a_small_gzip_file_that_is_cut_is_left_to_the_job() -> None:
    looked_at(to_gzip(ONE)[:-20], to_gzip(TWO))


def test_a_file_larger_than_the_look_is_not_called_cut() -> None:
    one, two = looked_at(incompressible(1, 1 << 18), incompressible(2, 1 << 18))
    assert len(one.reads) > 100 < len(two.reads)


def test_a_line_longer_than_the_look_is_left_to_the_job() -> None:
    endless = b"@r\n" + b"A" * (2 * READ_SIZE)
    one, _ = looked_at(endless, endless)
    assert len(one.reads) == 0


def test_what_a_gzip_bomb_unpacks_to_has_a_bound() -> None:
    bomb = gzip.compress(b"@r\n" + b"A" * (50 << 20))
    assert len(bomb) < READ_SIZE
    assert len(looked_at(bomb, bomb)[0].reads) == 0
    data = b"".join(gzip.compress(b"A" * MAX_TEXT) for _ in range(20))
    assert refused(b"@" + data, data)[0] in {"MALFORMED", "TRUNCATED"}
