"""seqdrop.jobs.regions: the intervals of a run, its pieces, and the haploid parts of its reference."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import regions
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.plan import bed
from seqdrop.plan.bed import Interval
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.function_aws import Deployed


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    (tmp_path / "genome.fa.fai").write_text("chr2\t500\t6\t60\t61\nchr1\t300\t6\t60\t61\n")
    args = argparse.Namespace(intervals=S3Uri(bucket, "demo/exome.bed"), vcpus=1)
    args.reference, args.results = S3Uri(bucket, "demo/genome.fa"), S3Uri(bucket, "NA12878/r")
    return Workspace("call", args, tmp_path, Processes(tmp_path))


def fetch_intervals(aws: Deployed, work: Workspace, text: bytes) -> str:
    aws.s3.put_object(Bucket=work.args.intervals.bucket, Key="demo/exome.bed", Body=text)
    return regions.fetch_intervals(work, work / "genome.fa").read_text()


def test_intervals_are_sorted_like_the_reference_and_have_three_columns(aws: Deployed, work: Workspace) -> None:
    text = b"# of a kit\ntrack name=x\nchr1\t200\t300\tname;$(touch canary)\r\nchr2\t7\t9\n\nchr1\t0\t50\t+"
    assert fetch_intervals(aws, work, text) == "chr2\t7\t9\nchr1\t0\t50\nchr1\t200\t300\n"


def test_regions_that_are_replaced_after_the_start_of_the_run_are_not_used(aws: Deployed, work: Workspace) -> None:
    pinned = b"chr1\t0\t50\n"
    s3.store().write_json(work.args.results / "reference.json", {"intervals_sha256": bed.checksum(pinned)})
    assert fetch_intervals(aws, work, pinned) == "chr1\t0\t50\n"
    with pytest.raises(JobError, match=r"^intervals\.bed was replaced after the run started$") as raised:
        fetch_intervals(aws, work, b"chr1\t0\t51\n")
    assert raised.value.failure_class == "RESULTS_CHANGED"


def test_calls_are_in_the_padded_and_merged_targets_of_a_panel(aws: Deployed, work: Workspace) -> None:
    text = b"chr1\t20\t50\nchr1\t100\t200\nchr1\t290\t300\n"
    s3.store().write_json(work.args.results / "reference.json", {"padding": 30})
    assert fetch_intervals(aws, work, text) == text.decode()
    padded = regions.fetch_intervals(work, work / "genome.fa", padded=True).read_text()
    assert padded == "chr1\t0\t230\nchr1\t260\t300\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "intervals.bed has no regions"),
        (b"chr1\t1\n", "line 1 of intervals.bed is not a region: expected a contig, a start and an end"),
        (b"chr1\t5\t301\n", "line 1 of intervals.bed: 301 is past the end of chr1, which has 300 bases"),
    ],
)
def test_an_invalid_bed_file_is_refused(aws: Deployed, work: Workspace, text: bytes, message: str) -> None:
    with pytest.raises(BadInputError) as raised:
        fetch_intervals(aws, work, text)
    assert (raised.value.failure_class, str(raised.value)) == ("BAD_INPUT.INTERVALS", message)
    assert work.original_names == {"intervals.bed": "exome.bed"}


def test_small_intervals_share_a_piece_and_large_ones_are_cut() -> None:
    intervals = [Interval("chr2", 0, 250), Interval("a", 0, 40), Interval("b", 0, 60), Interval("c", 0, 10)]
    assert list(regions.split(intervals, 100)) == [
        [("chr2", 0, 100)],
        [("chr2", 100, 200)],
        [("chr2", 200, 250), ("a", 0, 40)],
        [("b", 0, 60), ("c", 0, 10)],
    ]


def test_a_genome_smaller_than_a_piece_is_one_piece() -> None:
    assert list(regions.split([Interval("MT007544.1", 0, 29_903)], 50_000)) == [[("MT007544.1", 0, 29_903)]]


@pytest.mark.parametrize(("contigs", "length", "pieces"), [(1_000, 800, 3), (100_000, 600, 6), (24, 130_000_000, 264)])
def test_many_contigs_are_few_pieces(work: Workspace, contigs: int, length: int, pieces: int) -> None:
    (work / "genome.fa.fai").write_text("".join(f"c{number}\t{length}\t6\t60\t61\n" for number in range(contigs)))
    assert len(write_pieces(work, None)) == pieces


@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=30), st.integers(10_000, 1_000_000))
def test_every_base_is_in_exactly_one_piece(lengths: list[int], min_size: int) -> None:
    intervals = [Interval(f"c{number}", 0, length) for number, length in enumerate(lengths)]
    pieces = list(regions.split(intervals, min_size))
    assert list(bed.merge(part for piece in pieces for part in piece)) == intervals
    size = max(min_size, -(-sum(lengths) // regions.MAX_PIECES))
    assert all(0 < sum(end - start for _, start, end in piece) <= size for piece in pieces)
    assert len(pieces) <= 2 * sum(lengths) / size + 1


def test_intervals_are_joined_where_they_touch_or_have_a_short_gap() -> None:
    intervals = [Interval("a", 0, 10), Interval("a", 2, 5), Interval("a", 10, 12), Interval("a", 15, 20)]
    intervals += [Interval("b", 15, 20), Interval("b", 16, 30)]
    assert list(bed.merge(intervals)) == [("a", 0, 12), ("a", 15, 20), ("b", 15, 30)]
    assert list(bed.merge(intervals, max_gap=3)) == [("a", 0, 20), ("b", 15, 30)]
    assert list(bed.merge([])) == []


def write_pieces(work: Workspace, targets: Path | None) -> list[tuple[str, str]]:
    pieces = regions.write_pieces(work, work / "genome.fa", targets)
    return [(piece.targets.read_text(), piece.spans.read_text()) for piece in pieces]


def test_the_targets_themselves_are_cut_into_pieces(
    aws: Deployed, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overlapping targets are one. The spans to read have a base more on each side, within the contig."""
    monkeypatch.setattr(regions, "MIN_PIECE_SIZE_OF_TARGETS", 60)
    monkeypatch.setattr(regions, "MAX_GAP", 20)
    monkeypatch.setattr(regions, "SIZE_PER_CONTIG", 0)
    fetch_intervals(aws, work, b"chr2\t150\t250\nchr2\t160\t170\nchr2\t390\t400\nchr2\t420\t430\nchr1\t299\t300\n")
    assert write_pieces(work, work / "targets.bed") == [
        ("chr2\t150\t210\n", "chr2\t149\t211\n"),
        ("chr2\t210\t250\nchr2\t390\t400\nchr2\t420\t430\n", "chr2\t209\t251\nchr2\t389\t431\n"),
        ("chr1\t299\t300\n", "chr1\t298\t300\n"),
    ]


@pytest.mark.parametrize("vcpus", [1, 64])
def test_the_pieces_do_not_depend_on_the_number_of_cores(work: Workspace, vcpus: int) -> None:
    work.args.vcpus = vcpus
    assert write_pieces(work, None) == [("chr2\t0\t500\nchr1\t0\t300\n", "chr2\t0\t500\nchr1\t0\t300\n")]


@pytest.mark.parametrize(
    ("summary", "haploid"),
    [
        ({}, []),
        ({"ploidy": 2}, []),
        ({"ploidy": 1}, [("chr2", 0, 500), ("chr1", 0, 300)]),
        ({"ploidy": 2, "ploidy_regions": [["chr1", 20, 300]]}, [("chr1", 20, 300)]),
    ],
)
def test_the_haploid_parts_are_those_of_the_reference(
    work: Workspace, summary: dict[str, object], haploid: list[Interval]
) -> None:
    s3.store().write_json(work.args.intervals.parent / "reference.json", summary)
    work.args.reference, work.args.results = (work.args.intervals.parent / name for name in ("genome.fa", "run"))
    assert regions.fetch_haploid(work, work / "genome.fa") == haploid


@pytest.mark.parametrize("ploidy", [0, 4, "x", None])
def test_a_ploidy_that_no_caller_knows_is_refused(work: Workspace, ploidy: object) -> None:
    s3.store().write_json(work.args.intervals.parent / "reference.json", {"ploidy": ploidy})
    work.args.reference, work.args.results = (work.args.intervals.parent / name for name in ("genome.fa", "run"))
    with pytest.raises(BadInputError, match=f"the reference has ploidy {ploidy}: the callers know 1 and 2"):
        regions.fetch_haploid(work, work / "genome.fa")
