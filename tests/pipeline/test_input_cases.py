"""Inputs that people reported in public (`cases` in the folder SEQDROP_DATA); skipped without this folder."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

import pytest
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import intervals
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support.function_aws import object_created
from support.pipeline_runs import (
    Sample,
    eventually,
    fetch,
    fetch_json,
    invoke_start_run,
    is_recorded,
    keys,
    rows,
    run_pair,
    run_tool,
    upload,
    upload_file,
    upload_pair,
    wait_for_end,
)

DATA = Path(os.environ.get("SEQDROP_DATA", "/nonexistent"))
CASES = DATA / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="SEQDROP_DATA has no folder `cases`")
COMMON = CASES / "common/t_R1.fastq.gz", CASES / "common/t_R2.fastq.gz"
NOWHERE = "nowhere"  # a reference that is not prepared: a complete pair is refused before a job starts


def rows_since(stack: Stack, before: set[str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = stack.table.scan(ConsistentRead=True)["Items"]
    return [row for row in items if row["run"] not in before and "status" in row]


def case_pair(name: str) -> tuple[Path, Path]:
    one, two = sorted((CASES / name).glob("*.fastq.gz"))
    return one, two


def put_bed(stack: Stack, case: str, name: str) -> None:
    upload_file(stack, CASES / case, stack["ReferenceBucket"], f"demo/{name}")


def test_01_bed_replaced(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    put_bed(stack, "01-bed-replaced/panelA.bed", "panel.bed")
    first = run_pair(stack, sample.small_pair, "CASE01", intervals="panel.bed")
    put_bed(stack, "01-bed-replaced/panelB.bed", "panel.bed")
    version = stack.s3.head_object(Bucket=stack["FastqBucket"], Key="CASE01_R1.fastq.gz")["VersionId"]
    event = object_created("CASE01_R1.fastq.gz", version)
    event["detail"]["bucket"]["name"] = stack["FastqBucket"]
    invoke_start_run(stack, event)
    eventually(lambda: [is_recorded(row) for row in rows(stack, "CASE01")] == [True] * 2, "a second run")
    [second] = [row for row in rows(stack, "CASE01") if row["run"] != first["run"]]
    checksums = []
    for row, start, end in ((first, 0, 60_000), (second, 60_000, 120_000)):
        manifest = fetch_json(stack, row, "manifest.json")
        assert manifest["intervals_name"] == "panel.bed"
        checksums.append(manifest["intervals_sha256"])
        vcf = fetch(stack, row, "CASE01.vcf.gz", tmp_path)
        places = list(map(int, run_tool("bcftools", "query", "-f", "%POS\n", vcf).split()))
        assert places
        assert all(start < place <= end for place in places)
    assert len(set(checksums)) == 2


def test_04_lanes_prefix(stack: Stack) -> None:
    before = {row["run"] for row in rows_since(stack, set())}
    for line in (CASES / "04-lanes-prefix/order.txt").read_text().split():
        for mate in (1, 2):
            key = line.replace("_R1_", f"_R{mate}_")
            upload(stack, CASES / f"common/t_R{mate}.fastq.gz", key, lanes="2", reference=NOWHERE)
    # Not one after the other: a row that waits is removed before that of its run is written.
    eventually(lambda: [row["status"] for row in rows_since(stack, before)] == ["FAILED"] * 2, "two complete runs")
    assert [row["sample"] for row in rows_since(stack, before)] == ["PATA2"] * 2


def test_05_names_handed(stack: Stack) -> None:
    before = {row["run"] for row in rows_since(stack, set())}
    names = [line.split("\t") for line in (CASES / "05-names-handed/names.tsv").read_text().splitlines()]
    pairs = [(one.replace("<76 x>", "x" * 76), two.replace("<76 x>", "x" * 76), right) for one, two, right in names]
    for one, two, _ in pairs:
        for mate, key in enumerate((one, two), 1):
            upload(stack, CASES / f"common/t_R{mate}.fastq.gz", key, reference=NOWHERE)

    def is_visible(one: str, two: str, right: str) -> bool:
        rows = rows_since(stack, before)
        if right.startswith("ADMITTED"):
            return any((row["sample"], row.get("class")) == (one[:3], "REFERENCE") for row in rows)
        return all(any(row["message"].startswith(f"{key} is ignored: ") for row in rows) for key in (one, two))

    eventually(lambda: all(is_visible(*pair) for pair in pairs), "a row of every pair")
    assert {row["status"] for row in rows_since(stack, before)} <= {"FAILED", "IGNORED"}


def split_pair(files: tuple[Path, Path], folder: Path) -> tuple[list[tuple[Path, Path]], int]:
    """Cut a pair into two chunks, as bcl2fastq before 2.0 does; return them and the number of reads of both mates."""
    texts = [gzip.decompress(path.read_bytes()).splitlines(keepends=True) for path in files]
    half = len(texts[0]) // 8 * 4
    chunks = []
    for number, part in enumerate((slice(half), slice(half, None))):
        paths = folder / f"{number}_R1.fastq.gz", folder / f"{number}_R2.fastq.gz"
        for path, lines in zip(paths, texts, strict=True):
            path.write_bytes(gzip.compress(b"".join(lines[part])))
        chunks.append(paths)
    return chunks, sum(map(len, texts)) // 4


@pytest.mark.parametrize("lanes", ["2", ""])
def test_06_chunk_002(stack: Stack, tmp_path: Path, lanes: str) -> None:
    """A run reads both chunks, or there is none and a row says so: the number of pairs makes the difference."""
    sample = f"PAT{lanes or 'F'}_GAAACC"
    chunks, reads = split_pair(COMMON, tmp_path)
    choices = {"lanes": lanes} if lanes else {}
    for number, files in enumerate(chunks, 1):
        upload_pair(stack, files, f"{sample}_L001_R{{mate}}_00{number}.fastq.gz", **choices)

    def is_decided() -> bool:
        found = rows(stack, sample)
        decisive = [row for row in found if row["status"] == "SUCCEEDED" or row.get("class") == "BAD_INPUT.CHUNKS"]
        return bool(decisive) and all(map(is_recorded, found))

    eventually(is_decided, "a run of both chunks, or a row about them")
    assert [row["reads"] for row in rows(stack, sample) if row["status"] == "SUCCEEDED"] in ([], [reads])
    if lanes:
        [row] = rows(stack, sample)
        assert row["status"] == "SUCCEEDED"


def test_07_umi_in_r2(stack: Stack) -> None:
    row = run_pair(stack, case_pair("07-umi-in-r2"), "CASE07")
    assert (row["status"], row["class"]) == ("FAILED", "BAD_INPUT.MATE_LENGTHS")


def test_08_consensus_quality(stack: Stack) -> None:
    row = run_pair(stack, case_pair("08-consensus-quality"), "CASE08")
    assert row["status"] == "SUCCEEDED"
    warnings = [warning["warning"] for warning in fetch_json(stack, row, "manifest.json")["warnings"]]
    assert warnings.count("QUALITY_OFFSET") == 2


def test_10_bed_late(stack: Stack, sample: Sample) -> None:
    put_bed(stack, "10-bed-late/chr.bed", "exome.bed")
    row = run_pair(stack, sample.small_pair, "CASE10", intervals="exome.bed")
    assert (row["class"], "execution" in row) == ("BAD_INPUT.INTERVALS", False)
    assert "the reference has no contig chrdemo1; it has demo1" in row["message"]
    assert "correct BED file" in row["advice"]


def test_11_intervals_not_there(stack: Stack) -> None:
    uri = f"s3://{stack['ReferenceBucket']}/demo/my.bed"
    with pytest.raises(CliError, match=f"my.bed is not beside reference demo: upload it to {uri}"):
        intervals.resolve(stack, "my.bed", "demo")
    name, checksum = intervals.resolve(stack, str(CASES / "11-intervals-not-there/my.bed"), "demo")
    assert (name, intervals.resolve(stack, "my.bed", "demo")) == ("my.bed", ("my.bed", checksum))


def test_13_multiqc_name(stack: Stack) -> None:
    name = "HG002.trimmed-10-reads.v2"
    row = run_pair(stack, COMMON, name)
    assert (row["status"], row["sample"]) == ("SUCCEEDED", name)
    reports = [key for key in keys(stack, row) if ".report." in key]
    assert f"{name}.report.html" in reports
    for key in reports:
        text = re.sub("<title>.*?</title>", "", read_text(stack, row, key), flags=re.DOTALL)
        mentions = re.findall(r"HG002[\w.-]*", text)
        assert mentions, key
        assert [mention for mention in mentions if not mention.startswith(name)] == []


def read_text(stack: Stack, row: dict[str, Any], name: str) -> str:
    uri = S3Uri.parse(row["results"]) / name
    return stack.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read().decode()


def test_14_undetermined(stack: Stack) -> None:
    before = {row["run"] for row in rows_since(stack, set())}
    upload_pair(stack, COMMON, "Undetermined_S0_L001_R{mate}_001.fastq.gz")
    eventually(lambda: len(rows_since(stack, before)) == 2, "a row of each file")
    found = rows_since(stack, before)
    assert [(row["status"], "execution" in row) for row in found] == [("IGNORED", False)] * 2
    assert all("its reads are of no sample: their barcodes are unknown" in row["message"] for row in found)


def test_15_archived_class(stack: Stack) -> None:
    keys = "CASE15_R1.fastq.gz", "CASE15_R2.fastq.gz"
    for path, key in zip(COMMON, keys, strict=True):
        upload_file(stack, path, stack["FastqBucket"], key, {"StorageClass": "GLACIER"})
    row = wait_for_end(stack, "CASE15")
    assert (row["status"], row["class"], "execution" in row) == ("FAILED", "BAD_INPUT.ARCHIVED", False)
    assert all(f"{key} (GLACIER)" in row["message"] for key in keys)
    assert row["advice"].startswith("Restore the files (`aws s3api restore-object`)")


def test_16_moved_in_bucket(stack: Stack) -> None:
    first, bucket = run_pair(stack, COMMON, "CASE16"), stack["FastqBucket"]
    for mate in (1, 2):
        key = f"CASE16_R{mate}.fastq.gz"
        stack.s3.copy_object(Bucket=bucket, Key=f"archive/{key}", CopySource={"Bucket": bucket, "Key": key})
        stack.s3.delete_object(Bucket=bucket, Key=key)
    eventually(lambda: len(rows(stack, "CASE16")) == 2, "the row of the copy")
    [copy] = [row for row in rows(stack, "CASE16") if row["run"] != first["run"]]
    assert (first["status"], copy["status"], "execution" in copy) == ("SUCCEEDED", "IGNORED", False)
    assert copy["message"].endswith(f"have the same bytes and choices as the FASTQs of run {first['run']}")


def test_18_readids(stack: Stack) -> None:
    row = run_pair(stack, case_pair("18-readids"), "CASE18")
    assert (row["status"], row["class"]) == ("FAILED", "BAD_INPUT.MATE_NAMES")
    assert "--readids" in row["advice"]
