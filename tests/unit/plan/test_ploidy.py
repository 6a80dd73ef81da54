"""seqdrop.plan.ploidy: the file of `seqdrop reference --ploidy-file`, and the haploid parts of a reference."""

from __future__ import annotations

import gzip
import itertools
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.failure.verdict import UsageError
from seqdrop.jobs.arguments import parse_options
from seqdrop.plan import ploidy
from seqdrop.plan.bed import BedError, Interval
from seqdrop.plan.ploidy import Region

LENGTHS = {"chr1": 500, "chrX": 300, "chrM": 20, "HLA:A*01:01": 50}
TEXT = b"""\xef\xbb\xbf# the sex chromosomes of a man
track name=sex

chrM\t1
chrX\t10\t290\t1\r
chrX 0 10 2
HLA:A*01:01\t1
"""
REGIONS = [
    Region("chrM", 0, None, 1, 4),
    Region("chrX", 10, 290, 1, 5),
    Region("chrX", 0, 10, 2, 6),
    Region("HLA:A*01:01", 0, None, 1, 7),
]


@pytest.mark.parametrize("text", [TEXT, gzip.compress(TEXT)], ids=["plain", "gzipped"])
def test_a_line_is_a_contig_or_a_region_with_a_ploidy(text: bytes) -> None:
    regions = ploidy.read(BytesIO(text))
    assert regions == REGIONS
    assert ploidy.from_text(ploidy.to_text(regions)) == regions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the ploidy file has no regions: each line has a contig, or its start and end too, and a ploidy"),
        (b"# none\n", "the ploidy file has no regions: each line"),
        (b"chrX\n", "line 1 of the ploidy file: expected a contig and a ploidy, or a contig, a start, an end and"),
        (b"chrX\t0\t1\n", "line 1 of the ploidy file: expected a contig and a ploidy, or"),
        (b"chrX\ta\t9\t1\n", "line 1 of the ploidy file: expected a contig and a ploidy, or"),
        (b"chrM\t1\nchrX\t3\n", "line 2 of the ploidy file: the ploidy is 3, but callers know 1 and 2"),
        (b"chrY\t0\n", "line 1 of the ploidy file: the ploidy is 0, but callers know 1 and 2 (leave out contigs"),
        (b"chrX\tone\n", "line 1 of the ploidy file: the ploidy is one, but callers"),
        (b"".join(b"scaffold%d\t1\n" % n for n in range(200)), "the ploidy file has too many regions (200): only list"),
        (gzip.compress(TEXT, mtime=0)[:-9], "the ploidy file is a truncated gzip file"),
    ],
)
def test_an_invalid_line_is_refused_with_its_number(text: bytes, message: str) -> None:
    with pytest.raises(BedError) as raised:
        ploidy.read(BytesIO(text))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"chrM\t1\nchrY\t1\n", "line 2 of the ploidy file: the reference has no contig chrY; it has chr1, chrX, chrM"),
        (b"chrX\t0\t301\t1\n", "line 1 of the ploidy file: 301 is past the end of chrX, which has 300 bases"),
        (b"chrX\t9\t9\t1\n", "line 1 of the ploidy file: the region of chrX from 9 to 9 has no bases"),
        (b"chrX\t9\t20\t1\nchrX\t1\n", "line 2 of the ploidy file: the region overlaps that of line 1; leave out"),
    ],
)
def test_a_region_that_the_genome_does_not_have_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(BedError) as raised:
        ploidy.check(ploidy.read(BytesIO(text)), LENGTHS)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("text", ["", "[1]", '[["c"]]', '[["c",0,null,3,1]]', "[[1,0,null,1,1]]", '[["c","0",1,1,1]]'])
def test_text_that_is_not_of_regions_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a list of regions"):
        ploidy.from_text(text)


def test_reference_json_has_the_regions_whose_ploidy_is_another() -> None:
    regions = ploidy.check(REGIONS, LENGTHS)
    assert ploidy.of_reference(2, regions) == {
        "ploidy": 2,
        "ploidy_regions": [["chrX", 10, 290], ["chrM", 0, 20], ["HLA:A*01:01", 0, 50]],
    }
    assert ploidy.of_reference(1, regions) == {"ploidy": 1, "ploidy_regions": [["chrX", 0, 10]]}
    assert ploidy.of_reference(2, []) == {"ploidy": 2, "ploidy_regions": []}


def test_regions_that_touch_are_one() -> None:
    halves = ploidy.check(ploidy.read(BytesIO(b"chrM\t9\t20\t1\nchrM\t0\t9\t1\n")), LENGTHS)
    whole = ploidy.check(ploidy.read(BytesIO(b"chrM\t1\n")), LENGTHS)
    assert ploidy.of_reference(2, halves) == ploidy.of_reference(2, whole)


@given(st.sampled_from([1, 2]), st.sets(st.integers(1, 499), max_size=6).map(sorted), st.booleans())
def test_every_base_has_the_ploidy_of_the_file(default: int, cuts: list[int], first: bool) -> None:
    """The regions between the cuts have ploidy 1 and 2 in turn; all other bases have the default."""
    parts = list(itertools.pairwise(cuts))
    regions = [Region("chr1", start, end, (number + first) % 2 + 1, 1) for number, (start, end) in enumerate(parts)]
    expected = {(contig, base): default for contig, length in LENGTHS.items() for base in range(length)}
    for region in regions:
        expected |= {("chr1", base): region.ploidy for base in range(region.start, region.end or 0)}
    summary = ploidy.of_reference(default, ploidy.check(regions, LENGTHS))
    haploid = {(contig, base) for contig, start, end in ploidy.haploid(summary, LENGTHS) for base in range(start, end)}
    assert haploid == {base for base, copies in expected.items() if copies == 1}


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        ({}, "2"),
        ({"ploidy": 1, "ploidy_regions": []}, "1"),
        (
            {"ploidy": 2, "ploidy_regions": [["chrX", 0, 9], ["chrX", 20, 30], ["chrM", 0, 20]]},
            "2, but 1 in regions of chrX, chrM",
        ),
        (
            {"ploidy": 1, "ploidy_regions": [[f"c{n}", 0, 9] for n in range(7)]},
            "1, but 2 in regions of c0, c1, c2, c3, c4 and 2 more",
        ),
    ],
)
def test_a_ploidy_is_described(summary: dict[str, object], text: str) -> None:
    assert ploidy.describe(summary) == text


def test_the_haploid_parts_of_an_old_reference_follow_from_its_ploidy() -> None:
    assert ploidy.haploid({}, LENGTHS) == []
    assert ploidy.haploid({"ploidy": 1}, {"c": 9}) == [Interval("c", 0, 9)]


def test_an_option_of_regions_is_described_in_messages() -> None:
    with pytest.raises(UsageError, match="a JSON list of regions"):
        parse_options(["--unknown"], "reference")
