"""seqdrop.jobs.calling: whose regions are called, and the proof that a VCF is whole; with the real bcftools."""

from __future__ import annotations

import argparse
import gzip
import subprocess
from pathlib import Path

import pytest
from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import calling
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace
from seqdrop.storage.uri import S3Uri
from support.function_aws import Deployed

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c,length=100000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    (tmp_path / "genome.fa.fai").write_text("chr2\t500\t6\t60\t61\nchr1\t300\t6\t60\t61\n")
    args = argparse.Namespace(intervals=S3Uri(bucket, "demo/exome.bed"))
    return Workspace("call", args, tmp_path, Processes(tmp_path))


def regions(aws: Deployed, work: Workspace, text: bytes) -> str:
    aws.s3.put_object(Bucket=work.args.intervals.bucket, Key="demo/exome.bed", Body=text)
    return calling.fetch_intervals(work, work / "genome.fa").read_text()


def test_regions_are_sorted_as_the_genome_is_and_hold_nothing_else(aws: Deployed, work: Workspace) -> None:
    text = b"# of a kit\ntrack name=x\nchr1\t200\t300\tname;$(touch canary)\r\nchr2\t7\t9\n\nchr1\t0\t50\t+"
    assert regions(aws, work, text) == "chr2\t7\t9\nchr1\t0\t50\nchr1\t200\t300\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "intervals.bed has no region"),
        (b"chr1\t1\n", "line 1 of intervals.bed is no region"),
        (b"chr1 1 2\n", "line 1 of intervals.bed is no region"),
        (b"chr1\t-1\t2\n", "line 1 of intervals.bed is no region"),
        (b"chr2\t1\t2\nchr1\t1\t1e9\n", "line 2 of intervals.bed is no region"),
        (b"chr1\t5\t5\n", "line 1 of intervals.bed is not in this reference"),
        (b"chr1\t5\t301\n", "line 1 of intervals.bed is not in this reference"),
        (b"1\t5\t30\n", "line 1 of intervals.bed is not in this reference"),
        (gzip.compress(b"chr1\t5\t30\n", mtime=0), "line 1 of intervals.bed is no region"),
        (b"\xff\x00\n", "line 1 of intervals.bed is no region"),
    ],
)
def test_a_bed_that_is_none_is_a_choice_to_correct(aws: Deployed, work: Workspace, text: bytes, sentence: str) -> None:
    with pytest.raises(BadInputError) as raised:
        regions(aws, work, text)
    assert (raised.value.failure_class, str(raised.value)) == ("BAD_INPUT.CHOICES", sentence)
    assert work.original_names == {"intervals.bed": "exome.bed"}


def write_vcf(path: Path, records: int) -> Path:
    lines = "".join(f"c\t{place}\t.\tA\tC\t50\t.\t.\n" for place in range(1, records + 1))
    packed = subprocess.run(["bgzip", "-c"], input=(HEADER + lines).encode(), capture_output=True, check=True)
    path.write_bytes(packed.stdout)
    return path


def test_a_whole_vcf_is_counted_and_indexed(work: Workspace) -> None:
    vcf = write_vcf(work / "calls.vcf.gz", 9000)
    assert calling.verify_vcf(work, vcf) == calling.count_records(work, vcf) == 9000
    assert (work / "calls.vcf.gz.tbi").exists()


@pytest.mark.parametrize("how", ["no end", "a block lost its middle", "no header", "nothing"])
def test_a_vcf_of_a_tool_that_died_is_refused(work: Workspace, how: str) -> None:
    vcf = write_vcf(work / "calls.vcf.gz", 9000)
    whole = vcf.read_bytes()
    cut = {
        "no end": whole[: -len(calling.BGZF_END)],
        "a block lost its middle": whole[:2000] + whole[3000:],
        "no header": subprocess.run(["bgzip", "-c"], input=b"c\t1\n", capture_output=True, check=True).stdout,
        "nothing": b"",
    }
    vcf.write_bytes(cut[how])
    with pytest.raises(JobError) as raised:
        calling.verify_vcf(work, vcf)
    assert raised.value.failure_class == "TOOL_FAILED"
