"""seqdrop.jobs.calling: the regions of a run, and the verification of a VCF; with the real bcftools."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import calling
from seqdrop.jobs.calling import Interval
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage.uri import S3Uri
from support.function_aws import Deployed

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c,length=100000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    (tmp_path / "genome.fa.fai").write_text("chr2\t500\t6\t60\t61\nchr1\t300\t6\t60\t61\n")
    args = argparse.Namespace(intervals=S3Uri(bucket, "demo/exome.bed"), vcpus=1)
    return Workspace("call", args, tmp_path, Processes(tmp_path))


def fetch_intervals(aws: Deployed, work: Workspace, text: bytes) -> str:
    aws.s3.put_object(Bucket=work.args.intervals.bucket, Key="demo/exome.bed", Body=text)
    return calling.fetch_intervals(work, work / "genome.fa").read_text()


def test_intervals_are_sorted_like_the_reference_and_have_three_columns(aws: Deployed, work: Workspace) -> None:
    text = b"# of a kit\ntrack name=x\nchr1\t200\t300\tname;$(touch canary)\r\nchr2\t7\t9\n\nchr1\t0\t50\t+"
    assert fetch_intervals(aws, work, text) == "chr2\t7\t9\nchr1\t0\t50\nchr1\t200\t300\n"


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


def write_vcf(path: Path, records: int) -> Path:
    lines = "".join(f"c\t{position}\t.\tA\tC\t50\t.\t.\n" for position in range(1, records + 1))
    compressed = subprocess.run(["bgzip", "-c"], input=(HEADER + lines).encode(), capture_output=True, check=True)
    path.write_bytes(compressed.stdout)
    return path


def test_a_complete_vcf_is_counted_and_indexed(work: Workspace) -> None:
    vcf = write_vcf(work / "calls.vcf.gz", 9000)
    assert calling.verify_vcf(work, vcf) == calling.count_records(work, vcf) == 9000
    assert (work / "calls.vcf.gz.tbi").exists()


@pytest.mark.parametrize("defect", ["no end", "a damaged block", "no header", "empty"])
def test_a_damaged_vcf_is_refused(work: Workspace, defect: str) -> None:
    vcf = write_vcf(work / "calls.vcf.gz", 9000)
    complete = vcf.read_bytes()
    damaged = {
        "no end": complete[: -len(calling.BGZF_END)],
        "a damaged block": complete[:2000] + complete[3000:],
        "no header": subprocess.run(["bgzip", "-c"], input=b"c\t1\n", capture_output=True, check=True).stdout,
        "empty": b"",
    }
    vcf.write_bytes(damaged[defect])
    with pytest.raises(JobError) as raised:
        calling.verify_vcf(work, vcf)
    assert raised.value.failure_class == "TOOL_FAILED"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fai")


def split_genome(folder: Path, lengths: dict[str, int], count: int) -> list[Interval]:
    fai = "".join(f"{name}\t{length}\t6\t60\t61\n" for name, length in lengths.items())
    (folder / "genome.fa.fai").write_text(fai)
    return list(calling.split_genome(folder / "genome.fa", count))


def test_a_genome_is_split_into_intervals_of_one_size_in_the_order_of_its_contigs(folder: Path) -> None:
    assert split_genome(folder, {"chr2": 250_000, "chr1": 100_000}, 4) == [
        ("chr2", 0, 87500),
        ("chr2", 87500, 175000),
        ("chr2", 175000, 250000),
        ("chr1", 0, 87500),
        ("chr1", 87500, 100000),
    ]


def test_a_small_genome_is_one_interval(folder: Path) -> None:
    assert split_genome(folder, {"MT007544.1": 29_903}, 64) == [("MT007544.1", 0, 29903)]


@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=30), st.integers(1, 256))
def test_every_base_is_in_exactly_one_interval(folder: Path, lengths: list[int], count: int) -> None:
    contigs = {f"c{number}": length for number, length in enumerate(lengths)}
    intervals = split_genome(folder, contigs, count)
    expected = []
    for name, length in contigs.items():
        of_contig = [interval for interval in intervals if interval.contig == name]
        assert (of_contig[0].start, of_contig[-1].end) == (0, length)
        assert [interval.start for interval in of_contig[1:]] == [interval.end for interval in of_contig[:-1]]
        expected += of_contig
    assert intervals == expected
    assert len(intervals) <= count + len(lengths)


def test_every_region_has_its_part_of_the_targets(
    aws: Deployed, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets are cut at the ends of a region, and regions without targets are not called."""
    monkeypatch.setattr(calling, "MIN_REGION_SIZE", 200)
    fetch_intervals(aws, work, b"chr2\t150\t250\nchr2\t160\t170\nchr2\t390\t400\nchr1\t200\t201\n")
    inputs = calling.Inputs(work / "genome.fa", work / "sorted.bam", work / "targets.bed")
    regions = [(region.bed.read_text(), region.targets.read_text()) for region in calling.write_regions(work, inputs)]
    assert regions == [
        ("chr2\t0\t200\n", "chr2\t150\t200\nchr2\t160\t170\n"),
        ("chr2\t200\t400\n", "chr2\t200\t250\nchr2\t390\t400\n"),
        ("chr1\t200\t300\n", "chr1\t200\t201\n"),
    ]


def test_without_intervals_the_targets_of_a_region_are_the_whole_region(work: Workspace) -> None:
    inputs = calling.Inputs(work / "genome.fa", work / "sorted.bam", None)
    regions = [(region.bed.read_text(), region.targets.read_text()) for region in calling.write_regions(work, inputs)]
    assert regions == [("chr2\t0\t500\n", "chr2\t0\t500\n"), ("chr1\t0\t300\n", "chr1\t0\t300\n")]
