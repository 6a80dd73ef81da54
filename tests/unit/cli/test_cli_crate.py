"""`seqdrop fetch --crate`: the RO-Crate of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import crate, fetch
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws

RUN = cli_aws.RUN
SOURCE = {"uri": "s3://references/hg/source/hg.fa", "version_id": "v3", "etag": "e3", "size": 3, "crc64nvme": "c3"}
MATES = {f"fastq_{mate}": {**SOURCE, "uri": f"s3://fastq/S1_R{mate}.fastq.gz"} for mate in (1, 2)}
JOB = {
    "step": "align",
    "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/seqdrop/bwa:1f2e",
    "image_digest": "sha256:77aa",
    "tools": {"bwa": "0.7.17", "samtools": "1.16.1"},
    "commands": ["bwa mem genome.fa - | samtools sort"],
    "started": "2026-03-01T10:00:00Z",
    "seconds": 90.5,
}


@pytest.fixture
def stack() -> Iterator[Stack]:
    """An ended execution, and the folder of its run."""
    with cli_aws.stack() as stack:
        execution = cli_aws.end_execution(stack, RUN, {})
        outputs = []
        for name, key in (("bam", "S1.bam"), ("bam.bai", "S1.bam.bai"), ("report", "S1.report.html")):
            stack.s3.put_object(Bucket="results", Key=f"S1/{RUN}/{key}", Body=key.encode())
            outputs.append({**SOURCE, "name": name, "uri": f"{cli_aws.RESULTS}/{key}"})
        manifest = {
            "seqdrop": "0.1.0", "run": RUN, "sample": "S1", "complete": True, "execution": execution,
            "outputs": outputs, "sources": {"fasta": SOURCE},
            "jobs": [JOB, {**JOB, "step": "compose", "tools": {}, "image": ""}],
            "choices": {"aligner": "bwa", "intervals": "", "lanes": 1, "args": {}},
        }  # fmt: skip
        cli_aws.write_json(stack, "results", f"S1/{RUN}/manifest.json", manifest)
        cli_aws.write_json(stack, "results", f"S1/{RUN}/reads.json", {"lanes": [{"lane": "", **MATES}]})
        row = {"run": RUN, "sample": "S1", "status": "SUCCEEDED", "results": cli_aws.RESULTS, "started": "2026-03-01"}
        stack.table.put_item(Item=row)
        yield stack


def make(stack: Stack, folder: Path, *kinds: str) -> dict[str, dict[str, Any]]:
    """Fetch the run with its crate; return the entities of the crate by their id."""
    fetch.fetch(stack, fetch.select(stack, RUN, every=False), folder, kinds, with_crate=True)
    graph = json.loads((folder / "S1" / RUN / crate.METADATA).read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def ids(values: Any) -> set[str]:
    return {value["@id"] for value in (values if isinstance(values, list) else [values])}


def test_the_crate_names_inputs_tools_images_and_results(stack: Stack, tmp_path: Path) -> None:
    entities = make(stack, tmp_path)
    run = entities[f"#run-{RUN}"]
    assert {"s3://fastq/S1_R1.fastq.gz", "s3://fastq/S1_R2.fastq.gz", SOURCE["uri"]} < ids(run["object"])
    assert ids(run["result"]) == {"S1.bam", "S1.bam.bai", "S1.report.html"}
    assert entities["#choice-aligner"]["value"] == "bwa"
    assert "#choice-intervals" not in entities
    assert ids(entities["./"]["mentions"]) == {f"#run-{RUN}", "#step-align", "#step-compose"}
    align = entities["#step-align"]
    assert ids(align["instrument"]) == {"#bwa-0.7.17", "#samtools-1.16.1"}
    assert ids(align["result"]) == {"S1.bam", "S1.bam.bai"}
    assert (align["startTime"], align["endTime"]) == ("2026-03-01T10:00:00+00:00", "2026-03-01T10:01:30+00:00")
    assert align["description"] == JOB["commands"][0]
    assert entities["#image-align"]["sha256"] == "77aa"
    assert entities["S1.bam"]["sha256"] == hashlib.sha256(b"S1.bam").hexdigest()
    sums = {entities[one]["name"]: entities[one]["value"] for one in ids(entities["S1.bam"]["identifier"])}
    assert sums == {"version_id": "v3", "etag": "e3", "crc64nvme": "c3"}


def test_the_workflow_is_the_state_machine_that_the_run_has_used(stack: Stack, tmp_path: Path) -> None:
    entities = make(stack, tmp_path)
    workflow = entities[crate.WORKFLOW]
    assert "ComputationalWorkflow" in workflow["@type"]
    assert ids(entities["./"]["mainEntity"]) == {crate.WORKFLOW}
    assert workflow["identifier"] == "arn:aws:states:us-east-1:123456789012:stateMachine:pipeline"
    machine = json.loads((tmp_path / "S1" / RUN / crate.WORKFLOW).read_text())
    assert machine["StartAt"] == "Done"


def test_a_joint_run_has_the_calls_of_its_samples_as_inputs(stack: Stack, tmp_path: Path) -> None:
    gvcf = {**SOURCE, "uri": "s3://results/C01/r/C01.g.vcf.gz"}
    reads = {"samples": [{"sample": "C01", "run": "r", "least_depth": 7.0, "gvcf": gvcf}], "parts": 2}
    cli_aws.write_json(stack, "results", f"S1/{RUN}/reads.json", reads)
    manifest = stack.store.read_json(S3Uri.parse(f"{cli_aws.RESULTS}/manifest.json"))
    merge = {**JOB, "step": "merge", "seconds": 7200.0, "children": 2, "ended": "2026-03-01T11:00:00+00:00"}
    web = {"uri": "https://example.org/hg.fa.gz", "etag": "e", "size": 3}
    changed = {**manifest, "jobs": [merge], "sources": {"fasta": web}}
    cli_aws.write_json(stack, "results", f"S1/{RUN}/manifest.json", changed)
    entities = make(stack, tmp_path)
    assert {gvcf["uri"], web["uri"]} < ids(entities[f"#run-{RUN}"]["object"])
    assert entities[web["uri"]]["name"] == "hg.fa.gz"
    assert entities["#step-merge"]["endTime"] == "2026-03-01T11:00:00+00:00"


def test_files_that_were_not_fetched_keep_their_address(stack: Stack, tmp_path: Path) -> None:
    entities = make(stack, tmp_path, "report")
    assert "S1.bam" not in entities
    assert entities[f"{cli_aws.RESULTS}/S1.bam"]["contentSize"] == "3"
    assert (tmp_path / "S1" / RUN / "S1.report.html").is_file()


def test_a_run_without_its_execution_has_no_crate_but_its_files(stack: Stack, tmp_path: Path) -> None:
    manifest = stack.store.read_json(S3Uri.parse(f"{cli_aws.RESULTS}/manifest.json"))
    gone = {**manifest, "execution": manifest["execution"] + "-2"}
    cli_aws.write_json(stack, "results", f"S1/{RUN}/manifest.json", gone)
    with pytest.raises(CliError, match="was deleted 90 days after its end"):
        make(stack, tmp_path)
    assert (tmp_path / "S1" / RUN / "S1.bam").is_file()
