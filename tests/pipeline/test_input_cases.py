"""Inputs that people reported in public (`cases` in the folder SEQDROP_DATA); skipped without this folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
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
    rows,
    run_pair,
    run_tool,
    upload,
)

DATA = Path(os.environ.get("SEQDROP_DATA", "/nonexistent"))
CASES = DATA / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="SEQDROP_DATA has no folder `cases`")
NOWHERE = "nowhere"  # a reference that is not prepared: a complete pair is refused before a job starts


def rows_since(stack: Stack, before: set[str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = stack.table.scan(ConsistentRead=True)["Items"]
    return [row for row in items if row["run"] not in before]


def case_pair(name: str) -> tuple[Path, Path]:
    one, two = sorted((CASES / name).glob("*.fastq.gz"))
    return one, two


def put_bed(stack: Stack, case: str, name: str) -> None:
    stack.s3.upload_file(str(CASES / case), stack["ReferenceBucket"], f"demo/{name}")


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
    eventually(lambda: len(rows_since(stack, before)) == 2, "two runs")
    eventually(lambda: {row["status"] for row in rows_since(stack, before)} == {"FAILED"}, "both to be complete")
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


def test_18_readids(stack: Stack) -> None:
    row = run_pair(stack, case_pair("18-readids"), "CASE18")
    assert (row["status"], row["class"]) == ("FAILED", "BAD_INPUT.MATE_NAMES")
    assert "--readids" in row["advice"]
