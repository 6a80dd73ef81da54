"""seqdrop.jobs.workspace: the inputs of a step, and the figures of its receipt."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from seqdrop.failure.verdict import BadInputError, JobError
from seqdrop.jobs import workspace
from seqdrop.jobs.processes import Processes
from seqdrop.jobs.workspace import Workspace, write_md5
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri
from support.function_aws import Deployed

BAM, BAI = b"the reads of a run", b"their index"


@pytest.fixture
def work(bucket: str, tmp_path: Path) -> Workspace:
    args = argparse.Namespace(results=S3Uri(bucket, "NA12878/r"))
    return Workspace("call", args, tmp_path, Processes(tmp_path))


def test_the_bytes_of_an_object_and_of_its_index_are_counted(aws: Deployed, work: Workspace) -> None:
    uri = work.args.results / "NA12878.bam"
    for address, body in ((uri, BAM), (uri.companion(".bai"), BAI)):
        aws.s3.put_object(Bucket=address.bucket, Key=address.key, Body=body)
    path = work.fetch(uri, ".bai")
    assert path.read_bytes() == BAM
    assert (work / "NA12878.bam.bai").read_bytes() == BAI
    assert work.bytes_in == len(BAM) + len(BAI)
    work.fetch(uri, name="again.bam")
    assert work.bytes_in == 2 * len(BAM) + len(BAI)


@pytest.fixture
def pinned(aws: Deployed, work: Workspace) -> dict[str, str]:
    """A reference whose files a run has pinned; file -> version."""
    work.args.reference = S3Uri(work.args.results.bucket, "demo/genome.fa")
    files = {}
    for name, body in (("genome.fa", b">chr1"), ("genome.fa.fai", b"chr1")):
        put = aws.s3.put_object(Bucket=work.args.results.bucket, Key=f"demo/{name}", Body=body)
        files[name] = {"version_id": put["VersionId"], "etag": put["ETag"].strip('"')}
    s3.store().write_json(work.args.results / "reference.json", {"contigs": [], "files": files})
    return {name: pin["version_id"] for name, pin in files.items()}


def test_the_reference_of_a_run_is_read_at_its_pinned_versions(
    aws: Deployed, work: Workspace, pinned: dict[str, str]
) -> None:
    for name in pinned:
        aws.s3.put_object(Bucket=work.args.results.bucket, Key=f"demo/{name}", Body=b"another genome")
    path = work.fetch_reference(".fai")
    assert (path.read_bytes(), (work / "genome.fa.fai").read_bytes()) == (b">chr1", b"chr1")
    assert work.bytes_in == 9


@pytest.mark.parametrize("name", ["genome.fa", "genome.fa.fai"])
def test_a_reference_whose_pinned_version_is_gone_is_refused(
    aws: Deployed, work: Workspace, pinned: dict[str, str], name: str
) -> None:
    bucket = work.args.results.bucket
    aws.s3.put_object(Bucket=bucket, Key=f"demo/{name}", Body=b"another genome")
    aws.s3.delete_object(Bucket=bucket, Key=f"demo/{name}", VersionId=pinned[name])
    with pytest.raises(BadInputError, match="the reference was replaced after the run began") as raised:
        work.fetch_reference(".fai")
    assert raised.value.failure_class == "REFERENCE"


def test_an_index_that_came_after_the_start_is_not_used(aws: Deployed, work: Workspace, pinned: dict[str, str]) -> None:
    index = work.args.reference.companion(".bwt")
    aws.s3.put_object(Bucket=index.bucket, Key=index.key, Body=b"index")
    assert not work.has_reference_file(index)
    with pytest.raises(BadInputError, match="the reference is not prepared for this tool"):
        work.fetch_reference(".bwt")


def test_a_bucket_without_versions_shows_a_replaced_reference(aws: Deployed, work: Workspace) -> None:
    aws.s3.create_bucket(Bucket="plain-bucket")
    work.args.reference = S3Uri("plain-bucket", "demo/genome.fa")
    aws.s3.put_object(Bucket="plain-bucket", Key="demo/genome.fa", Body=b"first")
    files = {"genome.fa": s3.store().head(work.args.reference).pin()}
    s3.store().write_json(work.args.results / "reference.json", {"files": files})
    aws.s3.put_object(Bucket="plain-bucket", Key="demo/genome.fa", Body=b"second")
    with pytest.raises(BadInputError, match="the reference was replaced after the run began"):
        work.fetch_reference()


def test_a_run_of_an_earlier_version_reads_the_present_reference(aws: Deployed, work: Workspace) -> None:
    work.args.reference = S3Uri(work.args.results.bucket, "demo/genome.fa")
    s3.store().write_json(work.args.reference.parent / "reference.json", {"ploidy": 1})
    s3.store().write(work.args.reference, b">chr1")
    assert work.fetch_reference().read_bytes() == b">chr1"
    assert work.reference == {"ploidy": 1}
    assert work.has_reference_file(work.args.reference)


@pytest.mark.parametrize("how", ["publish", "publish_to"])
def test_nothing_is_published_beside_a_pipe(aws: Deployed, work: Workspace, how: str) -> None:
    work.args.vcf = work.args.results / "NA12878.vcf.gz"
    (work / "calls.vcf.gz").write_bytes(b"calls")
    os.mkfifo(work / "pipe")
    with pytest.raises(JobError, match="a pipe"):
        work.publish(work / "calls.vcf.gz", "vcf") if how == "publish" else work.publish_to(
            work / "calls.vcf.gz", work.args.vcf
        )
    assert s3.store().list_names(work.args.results) == []
    assert work.outputs == []


def test_a_checksum_file_is_that_of_md5sum(tmp_path: Path) -> None:
    (tmp_path / "sorted.bam").write_bytes(BAM)
    write_md5(tmp_path / "sorted.bam", "sorted.bam")
    assert (
        subprocess.run(["md5sum", "--check", "--strict", "sorted.bam.md5"], cwd=tmp_path, check=False).returncode == 0
    )


def test_only_a_replaced_file_of_a_user_is_an_input_that_is_missing(aws: Deployed, work: Workspace) -> None:
    results, other = work.args.results, S3Uri(work.args.results.bucket, "in/R1.fastq.gz")
    for own in (results / "NA12878.bam", results / "jobs/scatter.1.bcf"):
        s3.store().write(own, BAM)
        with pytest.raises(s3.ReplacedError):
            work.fetch(own, etag="another")
    s3.store().write(other, BAM)
    with pytest.raises(BadInputError, match=r"R1\.fastq\.gz was replaced after the run began") as raised:
        work.fetch(other, etag="another")
    assert raised.value.failure_class == "BAD_INPUT.MISSING"


def test_the_peak_memory_is_that_of_the_container_in_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "PEAK_MEMORY", tmp_path / "memory.peak")
    (tmp_path / "memory.peak").write_text(f"{5 << 20}\n")
    assert workspace.peak_memory() == 5


@pytest.mark.parametrize("text", [None, "max\n"], ids=["no file", "no number"])
def test_without_a_cgroup_the_peak_memory_is_that_of_the_largest_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(workspace, "PEAK_MEMORY", tmp_path / "memory.peak")
    if text is not None:
        (tmp_path / "memory.peak").write_text(text)
    subprocess.run([sys.executable, "-c", "b'x' * (64 << 20)"], check=True)
    assert 64 <= workspace.peak_memory() < 64 << 10  # MiB: other tests of this process may have run larger programs


def test_a_name_within_a_longer_one_leaves_the_longer_one_whole() -> None:
    names = {"lane1": "Patient_of_the_first_ward", "lane1_R1": "P1"}
    assert workspace.with_original_names("lane1_R1 and lane1 differ", names) == (
        "P1 and Patient_of_the_first_ward differ"
    )
