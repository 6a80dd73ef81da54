"""Two FASTQs in a bucket become annotated variants, a report and a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli.demo import truth
from seqdrop_cli.stack import Stack
from support.pipeline_runs import (
    Sample,
    deployed,
    drop,
    drop_pair,
    ended,
    eventually,
    execution,
    fetch,
    fetch_json,
    keys,
    rows,
    run_pair,
    tool,
)


def expected_keys(sample: str) -> set[str]:
    outputs = ["bam", "bam.bai", "bam.md5", "vcf.gz", "vcf.gz.tbi", "vcf.gz.stats", "annotated.vcf.gz"]
    outputs += ["annotated.vcf.gz.tbi", "annotated.vcf.gz.csv", "stats.txt", "stats.txt.flagstat", "stats.txt.idxstats"]
    outputs += ["report.html", "report.html.json"]
    receipts = {f"jobs/{step}.json" for step in ("align", "call", "annotate", "collect", "compose")}
    return {f"{sample}.{output}" for output in outputs} | receipts | {"reads.json", "manifest.json"}


@pytest.fixture(scope="module")
def whole(stack: Stack, sample: Sample) -> dict[str, Any]:
    """The run of all simulated reads."""
    return run_pair(stack, sample.material.fastqs, "WHOLE")


def test_two_puts_end_in_a_manifest_that_lists_every_output(stack: Stack, whole: dict[str, Any]) -> None:
    assert whole["status"] == "SUCCEEDED"
    assert keys(stack, whole) == expected_keys("WHOLE")
    manifest = fetch_json(stack, whole, "manifest.json")
    listed = {output["uri"].removeprefix(whole["results"] + "/"): output for output in manifest["outputs"]}
    assert set(listed) == {key for key in expected_keys("WHOLE") if "json" not in key or key.endswith("html.json")}
    for name, output in listed.items():
        bucket, key = whole["results"].removeprefix("s3://").split("/", 1)
        head = stack.s3.head_object(Bucket=bucket, Key=f"{key}/{name}", ChecksumMode="ENABLED")
        found = (head["ContentLength"], head["ChecksumCRC64NVME"], head["VersionId"])
        assert found == (output["size"], output["crc64nvme"], output["version_id"]), name
    assert manifest["complete"] is True
    assert manifest["missing"] == []


def test_planted_variants_are_found_and_named(
    stack: Stack, sample: Sample, whole: dict[str, Any], tmp_path: Path
) -> None:
    calls = truth.read_calls(fetch(stack, whole, "WHOLE.annotated.vcf.gz", tmp_path))
    comparison = truth.compare(sample.material.planted, calls)
    assert comparison.recall >= 0.98
    assert comparison.precision >= 0.98
    assert len(comparison.effects_disagreed) == 0


def test_every_read_is_in_the_bam_once_with_its_read_group(stack: Stack, whole: dict[str, Any], tmp_path: Path) -> None:
    bam = fetch(stack, whole, "WHOLE.bam", tmp_path)
    manifest = fetch_json(stack, whole, "manifest.json")
    [align] = [job for job in manifest["jobs"] if job["step"] == "align"]
    assert (
        align["counts"]["reads"]
        == align["counts"]["primary_records"]
        == int(tool("samtools", "view", "-c", "-F", "0x900", bam))
    )
    header = tool("samtools", "view", "-H", bam)
    assert "SO:coordinate" in header
    assert "@RG\tID:HSEQDROPXY.1\tSM:WHOLE\tLB:WHOLE\tPL:ILLUMINA\tPU:HSEQDROPXY.1.WHOLE" in header
    checksum = fetch(stack, whole, "WHOLE.bam.md5", tmp_path).read_text().split()[0]
    assert tool("md5sum", bam).split()[0] == checksum


def test_the_report_has_figures_of_every_step(stack: Stack, whole: dict[str, Any]) -> None:
    data = fetch_json(stack, whole, "WHOLE.report.html.json")
    modules = {source.split("_", 1)[0].lower() for source in data["report_data_sources"]}
    assert {"samtools", "bcftools", "snpeff"} <= modules


def test_the_receipts_say_tool_time_and_memory(stack: Stack, whole: dict[str, Any]) -> None:
    jobs = {job["step"]: job for job in fetch_json(stack, whole, "manifest.json")["jobs"]}
    assert jobs["align"]["tools"]["bwa-mem3"] == "0.4.4"
    assert {"bcftools", "snpEff"} <= jobs["annotate"]["tools"].keys()
    assert all(job["seconds"] > 0 and job["peak_memory"] > 0 and job["bytes_in"] > 0 for job in jobs.values())


def test_the_message_names_sample_and_results(stack: Stack, sample: Sample) -> None:
    sqs = stack.session.client("sqs", endpoint_url=stack.endpoint)
    sns = stack.session.client("sns", endpoint_url=stack.endpoint)
    queue = sqs.create_queue(QueueName="messages")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = sns.subscribe(TopicArn=stack["RunTopic"], Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    row = run_pair(stack, sample.few, "TOLD")
    [message] = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), "a message")
    sns.unsubscribe(SubscriptionArn=subscription)
    body = json.loads(message["Body"])
    assert body["Subject"] == f"seqdrop run {row['run']}: done"
    assert "Sample TOLD is done." in body["Message"]
    assert f"{row['results']}/TOLD.annotated.vcf.gz" in body["Message"]


def test_a_lone_mate_waits_and_either_order_gives_the_same_plan(stack: Stack, sample: Sample) -> None:
    plans = []
    for name, order in (("FIRST", (1, 2)), ("SECOND", (2, 1))):
        for mate in order:
            assert rows(stack, name) == []
            drop(stack, sample.few[mate - 1], f"{name}_R{mate}.fastq.gz")
        row = ended(stack, name)
        plan = execution(stack, row)["input"]
        plans.append(plan.replace(name, "NAME").replace(row["run"], "RUN"))
    assert plans[0] == plans[1]


def test_lanes_that_are_said_to_be_one_sample_make_one_bam(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    for lane in ("L001", "L002"):
        for mate in (1, 2):
            drop(stack, sample.few[mate - 1], f"lanes/LANES_S1_{lane}_R{mate}_001.fastq.gz", lanes="2")
    row = ended(stack, "LANES")
    assert row["status"] == "SUCCEEDED"
    header = tool("samtools", "view", "-H", fetch(stack, row, "LANES.bam", tmp_path))
    assert header.count("@RG\t") == 2
    assert row["reads"] == 4 * 3000


def test_duplicates_are_left_unmarked_when_so_chosen(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    row = run_pair(stack, sample.few, "AMPLICON", args='{"align":["--no-mark-duplicates"]}')
    bam = fetch(stack, row, "AMPLICON.bam", tmp_path)
    assert tool("samtools", "view", "-c", "-f", "0x400", bam).strip() == "0"
    assert "markdup" not in tool("samtools", "view", "-H", bam)


def test_variants_are_called_only_in_the_chosen_intervals(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    bed = "demo1\t20000\t60000\n"
    stack.s3.put_object(Bucket=stack["ReferenceBucket"], Key="demo/panel.bed", Body=bed.encode())
    row = run_pair(stack, sample.few, "PANEL", intervals="panel.bed")
    vcf = fetch(stack, row, "PANEL.vcf.gz", tmp_path)
    places = [line.split() for line in tool("bcftools", "query", "-f", "%CHROM %POS\n", vcf).splitlines()]
    assert places
    assert all(contig == "demo1" and 20_000 < int(place) <= 60_000 for contig, place in places)


def test_two_runs_of_the_same_reads_give_the_same_records(stack: Stack, sample: Sample, tmp_path: Path) -> None:
    bodies = []
    for name in ("AGAIN", "AGAIM"):
        row = run_pair(stack, sample.few, name)
        vcf = tool("bcftools", "view", "-H", fetch(stack, row, f"{name}.annotated.vcf.gz", tmp_path))
        bam = tool("samtools", "view", fetch(stack, row, f"{name}.bam", tmp_path))
        bodies.append((vcf, bam))
    assert bodies[0] == bodies[1]


def test_bwa_and_bwa_mem3_lead_to_the_same_variants(
    stack: Stack, bwa_stack: Stack, sample: Sample, whole: dict[str, Any], tmp_path: Path
) -> None:
    row = run_pair(bwa_stack, sample.material.fastqs, "WHOLE")
    assert row["status"] == "SUCCEEDED"
    site = "%CHROM %POS %REF %ALT [%GT]\n"
    other = tool("bcftools", "query", "-f", site, fetch(bwa_stack, row, "WHOLE.vcf.gz", tmp_path))
    assert other == tool("bcftools", "query", "-f", site, fetch(stack, whole, "WHOLE.vcf.gz", tmp_path))


def test_the_original_tools_run_behind_the_same_interfaces(
    original_stack: Stack, sample: Sample, tmp_path: Path
) -> None:
    """With stand-ins: they refuse what Isaac and Strelka refuse, and leave what those leave."""
    row = run_pair(original_stack, sample.few, "ORIGINAL")
    assert row["status"] == "SUCCEEDED", row
    assert keys(original_stack, row) == expected_keys("ORIGINAL")
    assert "@RG" in tool("samtools", "view", "-H", fetch(original_stack, row, "ORIGINAL.bam", tmp_path))


def test_a_reference_that_is_not_prepared_is_said_and_nothing_is_started(stack: Stack, sample: Sample) -> None:
    drop_pair(stack, sample.few, "NOREF", reference="hg99")
    row = ended(stack, "NOREF")
    assert (row["status"], row["class"]) == ("FAILED", "REFERENCE")
    assert "hg99 is not prepared; prepared are: demo" in row["message"]
    assert "execution" not in row


def test_before_any_image_is_pushed_a_run_is_recorded_as_not_ready(
    tmp_path_factory: pytest.TempPathFactory, sample: Sample
) -> None:
    with deployed(tmp_path_factory.mktemp("aws"), "MultiqcImageTag=none") as bare:
        row = run_pair(bare, sample.few, "EARLY")
    assert (row["status"], row["class"]) == ("FAILED", "NOT_READY")
    assert "make push STACK=seqdrop" in row["message"]
    assert "execution" not in row


def test_a_run_that_is_wanted_soon_goes_through_the_other_queue(stack: Stack, sample: Sample) -> None:
    plan = json.loads(execution(stack, run_pair(stack, sample.few, "SOON", priority="high"))["input"])
    queues = {
        plan[step]["job_queue"].rsplit("-", 1)[-1] for step in ("align", "call", "annotate", "collect", "compose")
    }
    assert queues == {"HighPriorityJobQueue"}
