"""Whole runs of single-end reads, an interleaved file and an unaligned BAM."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.stack import Stack
from support.pipeline_runs import Sample, fetch, fetch_json, fetch_records, run_pair, run_tool, upload, wait_for_end


@pytest.fixture(scope="module")
def pair_run(stack: Stack, sample: Sample) -> dict[str, Any]:
    """Run the small pair as two files."""
    return run_pair(stack, sample.small_pair, "PAIRS")


def test_an_interleaved_file_gives_the_results_of_its_pair(
    stack: Stack, sample: Sample, pair_run: dict[str, Any], tmp_path: Path
) -> None:
    mates = [gzip.decompress(path.read_bytes()).splitlines(keepends=True) for path in sample.small_pair]
    lines = [line for at in range(0, len(mates[0]), 4) for mate in mates for line in mate[at : at + 4]]
    file = tmp_path / "INTER_interleaved.fastq.gz"
    file.write_bytes(gzip.compress(b"".join(lines)))
    upload(stack, file, file.name)
    row = wait_for_end(stack, "INTER")
    assert (row["status"], row["layout"], row["reads"]) == ("SUCCEEDED", "interleaved", pair_run["reads"])
    assert fetch_records(stack, row, tmp_path) == fetch_records(stack, pair_run, tmp_path)


def test_an_unaligned_bam_gives_the_calls_of_its_pair(
    stack: Stack, sample: Sample, pair_run: dict[str, Any], tmp_path: Path
) -> None:
    file, (one, two) = tmp_path / "UBAM.unaligned.bam", sample.small_pair
    options = ["-r", "ID:machine.7", "-r", "SM:UBAM", "-o", file]
    subprocess.run(["samtools", "import", "-1", one, "-2", two, *options], check=True, capture_output=True)
    upload(stack, file, file.name)
    row = wait_for_end(stack, "UBAM")
    assert (row["status"], row["reads"], "layout" in row) == ("SUCCEEDED", pair_run["reads"], False)
    assert fetch_records(stack, row, tmp_path)[1] == fetch_records(stack, pair_run, tmp_path)[1]
    assert "@RG\tID:machine.7\tSM:UBAM" in run_tool("samtools", "view", "-H", tmp_path / "UBAM.bam")


def test_single_end_reads_are_called_and_judged_without_figures_of_pairs(
    stack: Stack, sample: Sample, tmp_path: Path
) -> None:
    upload(stack, sample.material.fastqs[0], "ALONE_R1.fastq.gz", layout="single")
    row = wait_for_end(stack, "ALONE")
    assert (row["status"], row["layout"]) == ("SUCCEEDED", "single")
    assert not [warning for warning in row.get("warnings", ()) if "paired" in warning]
    manifest = fetch_json(stack, row, "manifest.json")
    assert manifest["choices"]["layout"] == "single"
    report = fetch_json(stack, row, "ALONE.report.html.json")
    assert (report["figures"]["properly_paired"], report["figures"]["insert_size"]) == (None, None)
    assert not [reason for reason in report["reasons"] if "measured" in reason or "paired" in reason.lower()]
    planted = {(one.variant.contig, one.variant.start + 1) for one in sample.material.variants}
    calls = run_tool("bcftools", "query", "-i", 'FILTER="PASS"', "-f", "%CHROM %POS\n",
                     fetch(stack, row, "ALONE.vcf.gz", tmp_path)).splitlines()  # fmt: skip
    found = {(contig, int(position)) for contig, position in map(str.split, calls)}
    assert len(found & planted) > 0.8 * len(planted)
    assert len(found - planted) <= 2
