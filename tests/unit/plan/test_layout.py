"""seqdrop.plan.layout: run ids, plans and addresses; and the event files that show them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.plan import layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.storage.uri import S3Uri
from support.function_aws import FASTQS, FINGERPRINT, MACHINE, REFERENCES, RESULTS, SOURCES, environment, event

TOOLS = {"genome": FINGERPRINT, "aligner": "bwa_mem3", "caller": "bcftools"}
FAILED_PLANS = ("diagnose_out_of_memory", "diagnose_spot_reclaimed", "diagnose_bad_data")


def pair(lane: str = "", version: str = "v1") -> dict[str, Any]:
    keys = {f"fastq_{mate}": f"NA12878{lane and '_' + lane}_R{mate}.fastq.gz" for mate in (1, 2)}
    mates = {
        word: {"uri": f"s3://{FASTQS}/{key}", "version_id": version, "etag": "e", "size": 9}
        for word, key in keys.items()
    }
    return {"lane": lane, **mates}


def run_id(sample: str = "NA12878", pairs: Any = None, choices: Choices | None = None, **tools: str) -> str:
    return layout.run_id(sample, pairs or [pair()], choices or Choices("demo"), **{**TOOLS, **tools})


def test_a_run_id_changes_with_everything_that_changes_the_results() -> None:
    others = [
        run_id("NA12879"),
        run_id(pairs=[pair(version="v2")]),
        run_id(pairs=[pair("L001"), pair("L002")]),
        run_id(choices=Choices("hg38")),
        run_id(choices=Choices("demo", "exome.bed")),  # refused, since the file is missing
        run_id(choices=Choices("demo", "exome.bed"), regions="9a1b"),
        run_id(choices=Choices("demo", "exome.bed"), regions="c2d3"),
        run_id(choices=Choices("demo", panel="exome.bed"), regions="9a1b"),
        run_id(choices=Choices("demo", panel="exome.bed"), regions="9a1b+100"),
        run_id(choices=Choices("demo", args={"call": ["--exome"]})),
        run_id(genome="other"),
        run_id(aligner="bwa"),
        run_id(caller="strelka"),
        run_id(choices=Choices("demo", alignment_format="cram")),
        run_id(choices=Choices("demo", sex="XX")),  # the verdict of the report depends on it
        run_id(choices=Choices("demo", sex="XY")),
    ]
    assert len({run_id(), *others}) == 1 + len(others)
    assert all(len(run) == 20 and run.isalnum() for run in others)


def test_a_run_id_does_not_change_with_anything_else() -> None:
    same_reads = {**pair(), "lane": "L009", "read_group": "x.1"}
    same_reads["fastq_1"] = {**same_reads["fastq_1"], "etag": "other", "size": 0}
    lanes = [pair("L001"), pair("L002")]
    assert run_id(pairs=[same_reads]) == run_id()
    assert run_id(pairs=lanes[::-1]) == run_id(pairs=lanes)
    assert run_id(choices=Choices("demo", args={"call": []}, lanes=2, priority="high")) == run_id()
    assert run_id(choices=Choices("demo", alignment_format="bam")) == run_id()


def test_a_complete_plan() -> None:
    choices = Choices("demo", "exome.bed", {"call": ["--ploidy", "1"]}, lanes=2)
    job = {"job_queue": "queue", "job_definition": "arn:bwa:1", "vcpus": "2", "memory": "2048"}
    jobs = dict.fromkeys(steps.names(), job)
    settings = {
        "job_queue": "queue",
        "job_definition": "arn:bwa:1",
        "vcpus": "2",
        "memory": "2048",
        "attempt": "1",
        "args": "[]",
    }
    buckets, pins = {"results_bucket": "results", "reference_bucket": "refs"}, {"genome": "5f0c", "regions": "9a1b"}
    sources = {"fasta": {"uri": "s3://refs/demo/source/demo.fa", "version_id": "v"}}
    tools = {"aligner": "bwa", "caller": "bcftools"}
    plan = layout.plan("S", "r", choices, **buckets, **pins, **tools, sources=sources, jobs=jobs)
    assert plan == {
        "version": 1,
        "sample": "S",
        "run": "r",
        "lanes": 2,
        "form": "split",
        "steps": ["align", "call", "annotate", "collect", "compose"],
        "reference": "s3://refs/demo/genome.fa",
        "fingerprint": "5f0c",
        "sources": sources,
        "aligner": "bwa",
        "caller": "bcftools",
        "alignment_format": "bam",
        "intervals": "s3://results/S/r/intervals.bed",
        "intervals_name": "exome.bed",
        "intervals_sha256": "9a1b",
        "results": "s3://results/S/r",
        "reads": "s3://results/S/r/reads.json",
        "bam": "s3://results/S/r/S.bam",
        "stats": "s3://results/S/r/S.stats.txt",
        "vcf": "s3://results/S/r/S.vcf.gz",
        "gvcf": "s3://results/S/r/S.g.vcf.gz",
        "annotated_vcf": "s3://results/S/r/S.annotated.vcf.gz",
        "report": "s3://results/S/r/S.report.html",
        "manifest": "s3://results/S/r/manifest.json",
        "align": settings,
        "call": {**settings, "args": '["--ploidy","1"]', "parts": "1"},
        "scatter": {**settings, "args": '["--ploidy","1"]', "parts": "1"},
        "annotate": settings,
        "collect": settings,
        "compose": settings,
    }


def test_the_address_of_the_aligned_reads_has_their_format() -> None:
    jobs = {step: {"job_queue": "queue", "vcpus": "2", "memory": "2048"} for step in steps.names()}
    choices = Choices("demo", alignment_format="cram")
    buckets = {"results_bucket": "results", "reference_bucket": "refs"}
    plan = layout.plan("S", "r", choices, **buckets, genome="", jobs=jobs)
    assert (plan["alignment_format"], plan["bam"]) == ("cram", "s3://results/S/r/S.cram")
    definitions = dict.fromkeys(steps.names(), "arn:x:1")
    assert layout.resumed_plan(plan, jobs, {}, definitions)["bam"] == plan["bam"]
    del plan["alignment_format"]  # of a run that an earlier version started
    plan["bam"] = "s3://results/S/r/S.bam"
    assert layout.resumed_plan(plan, jobs, {}, definitions)["bam"] == plan["bam"]


def test_the_plan_of_a_scattered_run_has_the_jobs_of_the_parts_and_gathers_with_their_size() -> None:
    small, large = ({"job_queue": "queue", "vcpus": vcpus, "memory": "2048"} for vcpus in ("2", "9"))
    jobs = {**dict.fromkeys(steps.names(), large), "scatter": small}
    choices, buckets = (
        Choices("demo", args={"call": ["--min-mq", "9"]}),
        {"results_bucket": "b", "reference_bucket": "b"},
    )
    plan = layout.plan("S", "r", choices, **buckets, genome="", form="scattered", parts=7, jobs=jobs)
    job = {**small, "attempt": "1", "args": '["--min-mq","9"]', "parts": "7"}
    assert (plan["parts"], plan["scatter"], plan["call"]) == (7, job, job)
    assert plan["steps"] == ["align", "scatter", "call", "annotate", "collect", "compose"]
    assert plan["annotate"]["vcpus"] == "9"
    split = layout.plan("S", "r", choices, **buckets, genome="", jobs=jobs)
    assert {word: split[word] for word in ("vcf", "gvcf", "run")} == {
        word: plan[word] for word in ("vcf", "gvcf", "run")
    }

    definitions = dict.fromkeys(steps.names(), "arn:call:2")
    today = {step: {"vcpus": "8", "memory": "1"} for step in steps.names()} | {"scatter": {"vcpus": "3", "memory": "4"}}
    again = layout.resumed_plan(plan, today, {}, definitions)
    assert (again["form"], again["parts"], again["steps"]) == ("scattered", 7, plan["steps"])
    for step in ("scatter", "call"):
        assert again[step] == {**job, "vcpus": "3", "memory": "4", "job_definition": "arn:call:2"}
    old = {word: value for word, value in split.items() if word != "scatter"}  # of an earlier version
    old["call"] = {word: value for word, value in split["call"].items() if word != "parts"}
    resumed = layout.resumed_plan(old, today, {}, definitions)
    assert (resumed["call"]["parts"], resumed["call"]["vcpus"], resumed["scatter"]["vcpus"]) == ("1", "8", "3")


def test_the_plan_of_a_fused_run_has_a_job_with_the_options_of_all_steps() -> None:
    jobs = {step: {"job_queue": "queue", "vcpus": "2", "memory": "2048"} for step in (*steps.names(), "fused")}
    choices, buckets = (
        Choices("demo", args={"call": ["--ploidy", "1"]}),
        {"results_bucket": "b", "reference_bucket": "b"},
    )
    split = layout.plan("S", "r", choices, **buckets, genome="", jobs=jobs)
    fused = layout.plan("S", "r", choices, **buckets, genome="", form="fused", jobs=jobs)
    args = '{"align":[],"annotate":[],"call":["--ploidy","1"],"collect":[],"compose":[]}'
    job = {**jobs["fused"], "attempt": "1", "args": args}
    assert fused == {**split, "form": "fused", "fused": job}
    sizes = {step: {"vcpus": "9", "memory": "9"} for step in jobs}
    definitions = {step: f"arn:{step}:2" for step in jobs}
    again = layout.resumed_plan(fused, sizes, {"aligner": "bwa", "caller": "bcftools"}, definitions)
    assert again["form"] == "fused"
    assert again["fused"] == {**job, "vcpus": "9", "memory": "9", "job_definition": "arn:fused:2"}


def test_a_plan_of_an_earlier_version_has_a_job_for_each_step() -> None:
    jobs = {step: {"job_queue": "queue", "vcpus": "2", "memory": "2048"} for step in steps.names()}
    plan = layout.plan("S", "r", Choices("demo"), results_bucket="b", reference_bucket="b", genome="", jobs=jobs)
    del plan["form"]
    again = layout.resumed_plan(plan, jobs, {}, dict.fromkeys(jobs, "arn:x:1"))
    assert (again["form"], "fused" in again) == ("split", False)


def test_the_complete_input_of_a_preparation() -> None:
    fasta, genes = S3Uri("refs", "in/hg.fa"), S3Uri("refs", "in/hg.gtf")
    given = {"reference_bucket": "refs", "aligner": "bwa"}
    preparation = layout.preparation("r", "hg", fasta, genes, **given)
    assert preparation == {
        "version": 1,
        "run": "r",
        "fasta": "s3://refs/in/hg.fa",
        "genes": "s3://refs/in/hg.gtf",
        "sources": "{}",
        "aligner": "bwa",
        "reference": "s3://refs/hg/genome.fa",
        "results": "s3://refs/hg/preparation/r",
        "args": "[]",
    }
    sources = {"fasta": {"version_id": "v", "etag": "e"}}
    pinned = layout.preparation("r", "hg", fasta, genes, **given, sources=sources)
    assert pinned == {**preparation, "sources": '{"fasta":{"etag":"e","version_id":"v"}}'}
    haploid = layout.preparation("r", "hg", fasta, genes, **given, args=["--ploidy", "1"])
    assert haploid == {**preparation, "args": '["--ploidy","1"]'}
    assert layout.preparation("r", "hg", fasta, None, **given) == {**preparation, "genes": "none"}


def test_the_addresses_of_manifest_receipts_and_verdicts() -> None:
    results = S3Uri("results", "S/r")
    assert str(layout.manifest_uri(results)) == "s3://results/S/r/manifest.json"
    assert str(layout.receipt_uri(results, "align")) == "s3://results/S/r/jobs/align.json"
    assert str(layout.verdict_uri(results, "align", "2", "3")) == "s3://results/S/r/failures/align.2.3.json"


def test_execution_input_json_is_a_plan_of_the_template() -> None:
    variables, plan = environment("start_run"), event("execution_input")
    sizes, definitions = (json.loads(variables[name]) for name in ("SIZES", "JOB_DEFINITIONS"))
    tools = {"aligner": variables["ALIGNER"], "caller": variables["CALLER"]}
    prefix = variables["JOB_DEFINITION_PREFIX"]
    jobs = {
        step: {"job_queue": variables["NORMAL_QUEUE"], "job_definition": prefix + definitions[tool.name]}
        | dict(zip(("vcpus", "memory"), sizes[step], strict=True))
        for step, tool in {**steps.tools_of_run(tools), "scatter": steps.tool(tools["caller"])}.items()
    }
    buckets = {"results_bucket": RESULTS, "reference_bucket": REFERENCES}
    assert plan == layout.plan(
        "NA12878", plan["run"], Choices("demo"), **buckets, genome=FINGERPRINT, sources=SOURCES, **tools, jobs=jobs
    )
    assert event("eventbridge_object_created")["detail"]["object"]["key"] == "NA12878_R1.fastq.gz"


@pytest.mark.parametrize("name", FAILED_PLANS)
def test_the_event_files_of_diagnose_differ_from_the_plan_by_the_error_only(name: str) -> None:
    plan = event(name)
    cause = json.loads(plan["align"].pop("error")["Cause"])
    assert plan == event("execution_input")
    assert cause["JobName"] == f"align-{plan['run']}"
    assert cause["JobQueue"] == plan["align"]["job_queue"]
    assert cause["Parameters"]["bam"] == plan["bam"]


def test_all_event_files_are_of_one_stack_and_one_run() -> None:
    plan = event("execution_input")
    arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{plan['run']}"
    aborted, succeeded, failed = (
        event(name) for name in ("execution_aborted", "record_run_succeeded", "record_run_failed")
    )
    detail = aborted["detail"]
    assert (detail["executionArn"], detail["stateMachineArn"], aborted["resources"]) == (arn, MACHINE, [arn])
    assert json.loads(detail["input"]) == plan
    assert (succeeded["execution"], failed["execution"]) == (arn, arn)
    analysis = {step: plan[step] for step in ("scatter", "call", "annotate", "collect")}
    assert succeeded["plan"] == {**plan, "analysis": analysis}
    assert failed["plan"].items() >= {**plan, "align": failed["plan"]["align"]}.items()
    assert event("eventbridge_object_created")["detail"]["bucket"]["name"] == FASTQS
    assert event("s3_put")["Records"][0]["s3"]["bucket"]["name"] == FASTQS
