"""seqdrop.plan.layout: keys taken apart, choices, run ids, plans; and the event files that show them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.plan import fastq_names, layout, steps
from seqdrop.plan.choices import Choices
from seqdrop.plan.fastq_names import FastqName
from seqdrop.plan.names import SAMPLE
from seqdrop.storage.uri import S3Uri
from support.function_aws import FASTQS, FINGERPRINT, MACHINE, REFERENCES, RESULTS, environment, event

TOOLS = {"genome": FINGERPRINT, "aligner": "bwa_mem3", "caller": "bcftools"}
PLANS = ("diagnose_out_of_memory", "diagnose_spot_reclaimed", "diagnose_bad_data")


def pair(lane: str = "", version: str = "v1") -> dict[str, Any]:
    keys = {f"fastq_{mate}": f"NA12878{lane and '_' + lane}_R{mate}.fastq.gz" for mate in (1, 2)}
    mates = {
        word: {"uri": f"s3://{FASTQS}/{key}", "version_id": version, "etag": "e", "size": 9}
        for word, key in keys.items()
    }
    return {"lane": lane, **mates}


def jobs() -> dict[str, dict[str, str]]:
    """What the template gives each step on one machine."""
    given = environment("start_run")
    return {step: {"job_queue": given["NORMAL_QUEUE"], **size} for step, size in json.loads(given["SIZES"]).items()}


NAMES = [
    ("NA12878_R1.fastq.gz", "NA12878", "", 1),
    ("NA12878_R2.fastq.gz", "NA12878", "", 2),
    ("NA12878_1.fq.gz", "NA12878", "", 1),
    ("NA12878.R2.fq", "NA12878", "", 2),
    ("NA12878_2.fastq", "NA12878", "", 2),
    ("a/b/NA12878_S1_L001_R1_001.fastq.gz", "NA12878", "L001", 1),
    ("NA12878_S12_R2_001.fastq.gz", "NA12878", "", 2),
    ("NA12878_L004_R2.fastq.gz", "NA12878", "L004", 2),
    ("tumour_R2_R1.fastq.gz", "tumour_R2", "", 1),
    ("run_R1/NA12878_R2.fastq.gz", "NA12878", "", 2),
    ("SRR001666_1.fastq.gz", "SRR001666", "", 1),
    ("patient 7_R1.fastq.gz", "patient_7", "", 1),
    ("Müller_R1.fastq.gz", "M_ller", "", 1),
    ("..hidden_R1.fastq.gz", "hidden", "", 1),
    ("S1_L001_R1_001.fastq.gz", "S1", "L001", 1),
]


@pytest.mark.parametrize(("key", "sample", "lane", "mate"), NAMES)
def test_a_fastq_key_says_whose_it_is_which_lane_and_which_mate(key: str, sample: str, lane: str, mate: int) -> None:
    found = fastq_names.parse(key)
    assert found
    assert (found.sample, found.lane, found.mate) == (sample, lane, mate)
    assert found.mates[mate - 1] == key
    other = fastq_names.parse(found.mates[2 - mate])
    assert other
    assert (other.sample, other.lane, other.mate, other.mates) == (sample, lane, 3 - mate, found.mates)


@pytest.mark.parametrize(
    "key",
    [
        "NA12878.fastq.gz",
        "NA12878_R3.fastq.gz",
        "NA12878_S1_L001_I1_001.fastq.gz",
        "NA12878_R1.fastq.gz.md5",
        "NA12878_R1.fastq.bz2",
        "NA12878_R1.bam",
        "_R1.fastq.gz",
        "___R1.fastq.gz",
        "folder_R1.fastq.gz/",
        "NA12878_R1.fastq.gz/notes.txt",
        f"{'x' * 65}_R1.fastq.gz",
        "",
    ],
)
def test_what_is_no_fastq_of_a_pair_is_none(key: str) -> None:
    assert fastq_names.parse(key) is None


@given(st.text(max_size=40), st.sampled_from(["_R1.fastq.gz", "_2.fq", "_S1_L001_R1_001.fastq.gz", ".R2.fastq.gz"]))
def test_a_sample_id_is_always_one(stem: str, ending: str) -> None:
    found = fastq_names.parse(stem + ending)
    assert found is None or (SAMPLE.fullmatch(found.sample) and found.mates[found.mate - 1] == stem + ending)


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("in/NA12878_S1_L002_R1_001.fastq.gz", "in/NA12878_S1"),
        ("NA12878_L002_R2.fastq.gz", "NA12878"),
        ("NA12878_L002.R1.fastq.gz", "NA12878"),
    ],
)
def test_all_lanes_of_a_sample_begin_alike(key: str, prefix: str) -> None:
    found = fastq_names.parse(key)
    assert isinstance(found, FastqName)
    assert found.lanes_prefix == prefix


def run_of(sample: str = "NA12878", pairs: Any = None, choices: Choices | None = None, **tools: str) -> str:
    return layout.run_id(sample, pairs or [pair()], choices or Choices("demo"), **{**TOOLS, **tools})


def test_a_run_id_changes_with_all_that_changes_the_result() -> None:
    others = [
        run_of("NA12879"),
        run_of(pairs=[pair(version="v2")]),
        run_of(pairs=[pair("L001"), pair("L002")]),
        run_of(choices=Choices("hg38")),
        run_of(choices=Choices("demo", "exome.bed")),
        run_of(choices=Choices("demo", args={"call": ["--exome"]})),
        run_of(genome="other"),
        run_of(aligner="bwa"),
        run_of(caller="strelka"),
    ]
    assert len({run_of(), *others}) == 1 + len(others)
    assert all(len(run) == 20 and run.isalnum() for run in others)


def test_a_run_id_does_not_change_with_what_changes_nothing() -> None:
    told_otherwise = {**pair(), "lane": "L009", "read_group": "x.1"}
    told_otherwise["fastq_1"] = {**told_otherwise["fastq_1"], "etag": "other", "size": 0}
    lanes = [pair("L001"), pair("L002")]
    assert run_of(pairs=[told_otherwise]) == run_of()
    assert run_of(pairs=lanes[::-1]) == run_of(pairs=lanes)
    assert run_of(choices=Choices("demo", args={"call": []}, lanes=2, priority="high")) == run_of()


def test_a_plan_whole() -> None:
    choices = Choices("demo", "exome.bed", {"call": ["--ploidy", "1"]}, lanes=2)
    sizes = {step: {"job_queue": "queue", "vcpus": "2", "memory": "2048"} for step in steps.names()}
    plain = {"job_queue": "queue", "vcpus": "2", "memory": "2048", "attempt": "1", "args": "[]"}
    plan = layout.plan("S", "r", choices, results_bucket="results", reference_bucket="refs", jobs=sizes)
    assert plan == {
        "version": 1,
        "sample": "S",
        "run": "r",
        "lanes": 2,
        "steps": ["align", "call", "annotate", "collect", "compose"],
        "reference": "s3://refs/demo/genome.fa",
        "intervals": "s3://refs/demo/exome.bed",
        "results": "s3://results/S/r",
        "reads": "s3://results/S/r/reads.json",
        "bam": "s3://results/S/r/S.bam",
        "stats": "s3://results/S/r/S.stats.txt",
        "vcf": "s3://results/S/r/S.vcf.gz",
        "annotated_vcf": "s3://results/S/r/S.annotated.vcf.gz",
        "report": "s3://results/S/r/S.report.html",
        "manifest": "s3://results/S/r/manifest.json",
        "align": plain,
        "call": {**plain, "args": '["--ploidy","1"]'},
        "annotate": plain,
        "collect": plain,
        "compose": plain,
    }


def test_the_input_of_a_preparation_whole() -> None:
    fasta, genes = S3Uri("refs", "in/hg.fa"), S3Uri("refs", "in/hg.gtf")
    given = layout.preparation("r", "hg", fasta, genes, reference_bucket="refs")
    assert given == {
        "version": 1,
        "run": "r",
        "fasta": "s3://refs/in/hg.fa",
        "genes": "s3://refs/in/hg.gtf",
        "reference": "s3://refs/hg/genome.fa",
        "results": "s3://refs/hg/preparation/r",
    }
    assert layout.preparation("r", "hg", fasta, None, reference_bucket="refs") == {**given, "genes": "none"}


def test_what_a_run_writes_about_itself_has_one_place() -> None:
    results = S3Uri("results", "S/r")
    assert str(layout.manifest_uri(results)) == "s3://results/S/r/manifest.json"
    assert str(layout.receipt_uri(results, "align")) == "s3://results/S/r/jobs/align.json"
    assert str(layout.verdict_uri(results, "align", "2", "3")) == "s3://results/S/r/failures/align.2.3.json"


def test_execution_input_json_is_what_a_plan_is() -> None:
    shown = event("execution_input")
    buckets = {"results_bucket": RESULTS, "reference_bucket": REFERENCES}
    assert shown == layout.plan("NA12878", shown["run"], Choices("demo"), **buckets, jobs=jobs())
    told = event("eventbridge_object_created")["detail"]["object"]
    assert told["key"] == "NA12878_R1.fastq.gz"


@pytest.mark.parametrize("name", PLANS)
def test_the_plans_shown_to_the_doctor_differ_by_the_error_alone(name: str) -> None:
    shown = event(name)
    cause = json.loads(shown["align"].pop("error")["Cause"])
    assert shown == event("execution_input")
    assert cause["JobName"] == f"align-{shown['run']}"
    assert cause["JobQueue"] == shown["align"]["job_queue"]
    assert cause["Parameters"]["bam"] == shown["bam"]


def test_all_events_tell_of_one_stack_and_one_run() -> None:
    plan = event("execution_input")
    arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{plan['run']}"
    aborted, succeeded, failed = (
        event(name) for name in ("execution_aborted", "record_run_succeeded", "record_run_failed")
    )
    detail = aborted["detail"]
    assert (detail["executionArn"], detail["stateMachineArn"], aborted["resources"]) == (arn, MACHINE, [arn])
    assert json.loads(detail["input"]) == plan
    assert (succeeded["execution"], failed["execution"]) == (arn, arn)
    analysis = {step: plan[step] for step in ("call", "annotate", "collect")}
    assert succeeded["plan"] == {**plan, "analysis": analysis}
    assert failed["plan"].items() >= {**plan, "align": failed["plan"]["align"]}.items()
    assert event("eventbridge_object_created")["detail"]["bucket"]["name"] == FASTQS
    assert event("s3_put")["Records"][0]["s3"]["bucket"]["name"] == FASTQS
