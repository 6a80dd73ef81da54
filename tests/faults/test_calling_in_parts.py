"""Runs whose variants are called in parts"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop_cli import stop
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.function_aws import RESULTS
from support.job_runs import FOLDER, Batch
from support.made_reads import bases, write_genome
from support.pipeline_runs import (
    Sample,
    eventually,
    fetch_json,
    fetch_records,
    inject,
    jobs_of,
    keys,
    run_pair,
    upload_pair,
    wait_for_end,
    wait_for_row,
)


def parts_of(stack: Stack, row: dict[str, Any]) -> set[str]:
    """Return the receipts of the children, and that of the job that gathers their parts."""
    return {
        key for key in keys(stack, row) if key.startswith(("jobs/scatter.", "jobs/call.")) and key.endswith(".json")
    }


@case(
    happens="Of the jobs that call the parts of the genome, one loses its host, and one is killed for its memory and "
    "then fails for good.",
    see="The failure of this part: `DENIED in scatter`. After `seqdrop resume RUN` the results are identical to those "
    "of a run that calls in one job.",
    does="Repeats only the parts without a receipt: at most those that were being called are lost. The resumed run "
    "calls the missing parts, and gathers all.",
    do="As the message says for the step, then `seqdrop resume RUN`.",
)
def test_only_the_parts_that_were_lost_are_called_again(
    stack: Stack, sample: Sample, expected_records: tuple[str, str], tmp_path: Path
) -> None:
    faults: list[dict[str, Any]] = [
        {"job": "scatter-*:1", "fault": "host_lost"},
        {"job": "scatter-*:0", "fault": "out_of_memory"},
        {"service": "s3", "operation": "PutObject", "key": "*/jobs/scatter.0.bcf", "fault": "403"},
    ]
    with inject(stack, *faults) as hits:
        row = run_pair(stack, sample.small_pair, "PARTS", form="scattered")
        assert sorted(hit["fault"] for hit in hits()) == ["403", "host_lost", "out_of_memory"]
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "DENIED", "scatter")
    assert [line.split(": ")[1] for line in row["tried"]] == ["OUT_OF_MEMORY", "DENIED"]
    first, second = jobs_of(stack, row, "scatter")
    assert second["container"]["memory"] == 2 * first["container"]["memory"]
    assert not jobs_of(stack, row, "call")
    assert parts_of(stack, row) == {"jobs/scatter.1.json"}
    verdict = Verdict.from_json(fetch_json(stack, row, "failures/scatter.2.0.1.json"))
    assert (verdict.failure_class, verdict.exit_code) == ("DENIED", 70)
    before = fetch_json(stack, row, "jobs/scatter.1.json")
    assert before["attempt"] == "1"

    row = resume(stack, row, results=tmp_path / "results")
    assert fetch_records(stack, row, tmp_path) == expected_records
    assert fetch_json(stack, row, "jobs/scatter.1.json") == before
    assert fetch_json(stack, row, "manifest.json")["complete"] is True


@case(
    happens="A user stops a run while parts of the genome are called.",
    see="`ABORTED`, with the message `The run was stopped`.",
    does="Stops the jobs of all parts. Those that are done are kept.",
    do="`seqdrop resume RUN` calls the other parts.",
)
def test_a_stopped_run_keeps_the_parts_that_are_done(
    stack: Stack, sample: Sample, expected_records: tuple[str, str], tmp_path: Path
) -> None:
    late = {"service": "s3", "operation": "PutObject", "key": "*/jobs/scatter.1.bcf", "fault": "delay", "seconds": 60}
    with inject(stack, late) as hits:
        upload_pair(stack, sample.small_pair, "PARTSTOP", form="scattered")
        row = wait_for_row(stack, "PARTSTOP")
        eventually(hits, "the upload of the second part")
        eventually(lambda: "jobs/scatter.0.json" in keys(stack, row), "the first part")
        stop.stop(stack, row)
        row = wait_for_end(stack, "PARTSTOP")
    assert (row["status"], row["class"]) == ("ABORTED", "STOPPED")
    eventually(lambda: jobs_of(stack, row, "scatter")[0]["status"] == "FAILED", "the end of the array job")
    assert parts_of(stack, row) == {"jobs/scatter.0.json"}
    before = fetch_json(stack, row, "jobs/scatter.0.json")
    row = resume(stack, row, results=tmp_path / "results")
    assert fetch_records(stack, row, tmp_path) == expected_records
    assert fetch_json(stack, row, "jobs/scatter.0.json") == before


@pytest.fixture
def gathering(batch: Batch, tmp_path: Path) -> dict[str, str]:
    """Store what the job that gathers two parts reads, without the parts; return its arguments."""
    genome = write_genome(tmp_path / "genome.fa", {"chr1": bases(5_000, seed=21)})
    subprocess.run(["samtools", "faidx", genome], check=True)
    for path in (genome, genome.with_suffix(".fa.fai")):
        batch.s3.upload_file(str(path), RESULTS, f"demo/{path.name}")
    batch.s3.put_object(Bucket=RESULTS, Key="demo/reference.json", Body=b'{"contigs": []}')
    batch.s3.put_object(Bucket=RESULTS, Key=f"{FOLDER}/NA12878.bam", Body=b"bam")
    folder = f"s3://{RESULTS}/{FOLDER}"
    outputs = {kind: f"{folder}/NA12878.{kind}.gz" for kind in ("vcf", "gvcf")}
    values = {
        "reference": f"s3://{RESULTS}/demo/genome.fa",
        "bam": f"{folder}/NA12878.bam",
        "intervals": "all",
        **outputs,
    }
    common = {"results": folder, "run": "r", "attempt": "1", "vcpus": "1", "memory": "1000", "args": "[]"}
    return {"sample": "NA12878", "parts": "2", **values, **common}


@case(
    happens="A part of the genome is missing when the parts are gathered, or was called from other reads, regions, "
    "options or with another version, or is incomplete.",
    see="`FAILED`, `RESULTS_CHANGED`, and the part. There is no VCF.",
    does="Compares regions, number, version and checksum of each part with what it must be, and counts the records: "
    "no part is left out.",
    do="`seqdrop resume RUN` calls this part again.",
)
def test_a_missing_part_ends_the_run(batch: Batch, gathering: dict[str, str]) -> None:
    code, log = batch.wrapper("bcftools", gathering)
    verdict = batch.verdict()
    assert (code, verdict["class"]) == (70, "RESULTS_CHANGED"), log
    assert verdict["message"] == "part 1 of 2 of the genome is missing: it has no receipt"
    assert not [key for key in batch.written() if key.startswith("NA12878.vcf")]
    assert list(batch.scratch.iterdir()) == []
