"""seqdrop.plan.bed: the regions of a BED file or a Picard interval list."""

from __future__ import annotations

import gzip
import io

import pytest
from seqdrop.plan import bed
from seqdrop.plan.bed import BedError

LENGTHS = {"chr2": 400, "chr1": 300}
REGIONS = b"chr2\t7\t9\nchr1\t0\t50\nchr1\t200\t300\n"


def read(text: bytes) -> bytes:
    return bed.read(io.BytesIO(text), "panel.bed", LENGTHS)


FORMS = {
    "sorted like the reference": b"chr1\t200\t300\nchr1\t0\t50\nchr2\t7\t9\n",
    "header and comments": b"browser position chr1\ntrack name=x\n#chrom\tstart\tend\n" + REGIONS,
    "blank lines": b"\n\n" + REGIONS.replace(b"\n", b"\n\n"),
    "byte order mark": bed.BOM + REGIONS,
    "byte order mark before a header": bed.BOM + b"track name=x\n" + REGIONS,
    "CRLF": REGIONS.replace(b"\n", b"\r\n"),
    "no final newline": REGIONS[:-1],
    "blanks between the columns": REGIONS.replace(b"\t", b"  "),
    "BED12": REGIONS.replace(b"\n", b"\tgene\t0\t+\t7\t9\t0\t1\t2,\t0,\n"),
    "gzip": gzip.compress(REGIONS),
    "gzip members": gzip.compress(REGIONS[:13]) + gzip.compress(REGIONS[13:]),
    "gzip with padding": gzip.compress(REGIONS) + bytes(512),
    "Picard interval list": b"@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:300\n"
    b"chr2\t8\t9\t+\tx\nchr1\t1\t50\t+\ty\nchr1\t201\t300\t-\tz\n",
    "Picard interval list with a byte order mark": bed.BOM + b"@HD\tVN:1.6\nchr2\t8\t9\nchr1\t1\t50\nchr1\t201\t300\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_regions(form: str) -> None:
    assert read(FORMS[form]) == REGIONS


def test_the_checksum_depends_on_the_regions_alone() -> None:
    assert len({bed.checksum(read(text)) for text in FORMS.values()}) == 1
    assert bed.checksum(read(b"chr1\t0\t50\n")) != bed.checksum(REGIONS)


REFUSED = {
    "no bytes": (b"", "panel.bed has no regions"),
    "only a header": (b"track name=x\n#\n", "panel.bed has no regions"),
    "two columns": (b"chr1\t1\n", "line 1 of panel.bed is not a region: expected a contig, a start and an end"),
    "negative": (b"chr1\t-1\t2\n", "line 1 of panel.bed is not a region"),
    "not a number": (b"chr2\t1\t2\nchr1\t1\t1e9\n", "line 2 of panel.bed is not a region"),
    "no bases": (b"chr1\t5\t5\n", "line 1 of panel.bed: the region of chr1 from 5 to 5 has no bases"),
    "reversed": (b"chr1\t9\t5\n", "line 1 of panel.bed: the region of chr1 from 9 to 5 has no bases"),
    "past the end": (b"chr1\t5\t301\n", "line 1 of panel.bed: 301 is past the end of chr1, which has 300 bases"),
    "other names": (b"#x\n1\t5\t30\n", "line 2 of panel.bed: the reference has no contig 1; it has chr2, chr1"),
    "position 0 of an interval list": (b"@HD\tVN:1.6\nchr1\t0\t5\n", "line 2 of panel.bed: the region of chr1 from -1"),
    "truncated gzip": (gzip.compress(REGIONS * 99)[:-9], "panel.bed is a truncated gzip file"),
    "damaged gzip": (gzip.compress(REGIONS)[:9] + b"\xff" * 40, "panel.bed is a damaged gzip file"),
    "extra bytes after gzip": (gzip.compress(REGIONS) + b"chr1\t0\t5\n", "panel.bed is a damaged gzip file"),
    "binary": (b"\xff\x00\n", "line 1 of panel.bed is not a region"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(case: str) -> None:
    text, expected = REFUSED[case]
    with pytest.raises(BedError) as raised:
        read(text)
    assert str(raised.value).startswith(expected)


def test_a_contig_whose_name_begins_like_a_header_is_a_contig() -> None:
    regions = b"track\t0\t5\ntrack2\t0\t5\nbrowser_7\t0\t5\n"
    assert bed.read(io.BytesIO(regions), "panel.bed", {"track": 9, "track2": 9, "browser_7": 9}) == regions
    with pytest.raises(BedError, match=r"line 1 of panel\.bed: the reference has no contig track2"):
        read(b"track2\t0\t5\n")


@pytest.mark.parametrize("name", ["panel.interval_list", "panel.INTERVAL_LIST.gz"])
def test_an_interval_list_without_its_header_is_refused(name: str) -> None:
    """Its positions count from 1: read as BED, every region would begin one base too late."""
    assert bed.read(io.BytesIO(b"@HD\nchr1\t1\t5\n"), name, LENGTHS) == b"chr1\t0\t5\n"
    with pytest.raises(BedError, match=r"has no header \(@HD\): name it \.bed if its positions count from 0"):
        bed.read(io.BytesIO(b"chr1\t1\t5\n"), name, LENGTHS)


def test_the_text_of_a_gzip_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bed, "MAX_SIZE", 1 << 20)
    with pytest.raises(BedError, match=r"panel\.bed has more than 1 MiB of text"):
        read(gzip.compress(b"\n" * (3 << 20)))


def test_a_reference_with_many_contigs_is_named_by_the_first_ones() -> None:
    many = {f"scaffold{number}": 10 for number in range(1000)}
    with pytest.raises(BedError) as raised:
        bed.read(io.BytesIO(b"chr1\t0\t5\n"), "panel.bed", many)
    assert str(raised.value).endswith("scaffold0, scaffold1, scaffold2, scaffold3, scaffold4, ...")
