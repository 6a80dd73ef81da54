"""seqdrop.jobs.calling: the verification of a VCF and its counts; with the real bcftools."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest
from seqdrop.failure.verdict import JobError
from seqdrop.jobs import calling
from seqdrop.jobs.gvcf import Depth
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage.uri import S3Uri

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c,length=100000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    (tmp_path / "genome.fa.fai").write_text("chr2\t500\t6\t60\t61\nchr1\t300\t6\t60\t61\n")
    args = argparse.Namespace(intervals=S3Uri(bucket, "demo/exome.bed"), vcpus=1)
    return Workspace("call", args, tmp_path, Processes(tmp_path))


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


def test_the_number_of_records_is_read_from_the_statistics(tmp_path: Path) -> None:
    stats = tmp_path / "stats"
    stats.write_text("# SN\nSN\t0\tnumber of samples:\t1\nSN\t0\tnumber of records:\t123\n")
    assert calling.count_in_stats(stats) == 123
    stats.write_text("")
    with pytest.raises(JobError, match="no summary"):
        calling.count_in_stats(stats)


@pytest.mark.parametrize(
    ("variants", "depth", "bases", "warned"),
    [
        (0, 20, 10_000, True),
        (1, 20, 10_000, False),
        (0, 19, 10_000, False),
        (0, 20, 9_999, False),
        (0, 0, 0, False),
    ],
)
def test_no_variants_at_a_good_depth_are_a_warning(
    work: Workspace, variants: int, depth: int, bases: int, warned: bool
) -> None:
    work.counts |= {"variants": variants, "variants_all": 3}
    calling.warn_of_no_variants(work, Depth(depth, bases))
    assert [warning["warning"] for warning in work.warnings] == ["NO_VARIANTS"] * warned
    for warning in work.warnings:
        assert warning["message"].startswith("no variant has PASS (3 others were called), although 10,000 bases have")
        assert "right for a sample that equals its reference, such as a control" in warning["message"]


def test_calls_are_published_with_indexes_statistics_and_the_version_of_bcftools(work: Workspace) -> None:
    results = S3Uri(work.args.intervals.bucket, "NA12878/r")
    work.args.vcf, work.args.gvcf = results / "NA12878.vcf.gz", results / "NA12878.g.vcf.gz"
    calling.publish(work, write_vcf(work / "calls.vcf.gz", 3), write_vcf(work / "all.vcf.gz", 9))
    assert [output["name"] for output in work.outputs] == [
        "gvcf.tbi",
        "gvcf",
        "vcf.tbi",
        "vcf.stats",
        "vcf.all.stats",
        "vcf",
    ]
    version = subprocess.run(["bcftools", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert work.tools == {"bcftools": version.partition("+")[0]}
    assert work.counts == {"variants_all": 3, "variants": 0}  # none has the filter PASS
