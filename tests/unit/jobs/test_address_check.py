"""seqdrop.jobs.address_check: a job reads and writes in the folder of its own run only."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from seqdrop.failure.verdict import UsageError
from seqdrop.jobs import address_check
from seqdrop.storage.uri import S3Uri

RESULTS = S3Uri("results", "NA12878/r1")
REFERENCE = S3Uri("references", "hg38/genome.fa")
COMMON = {"results": RESULTS, "run": "r1", "attempt": "1", "vcpus": 2, "memory": 400, "args": []}
ALIGN = {
    **COMMON,
    "sample": "NA12878",
    "reference": REFERENCE,
    "reads": RESULTS / "reads.json",
    "bam": RESULTS / "NA12878.bam",
}
CALL = {
    **COMMON,
    "sample": "NA12878",
    "reference": REFERENCE,
    "intervals": RESULTS / "intervals.bed",
    "bam": RESULTS / "NA12878.bam",
    "vcf": RESULTS / "NA12878.vcf.gz",
    "lanes": [RESULTS / "NA12878.1.txt", RESULTS / "NA12878.2.txt"],
}
ANNOTATE = {**COMMON, "reference": REFERENCE, "vcf": RESULTS / "NA12878.vcf.gz"}  # without a sample
PREPARE = {
    **COMMON,
    "results": S3Uri("references", "hg38/preparation/r1"),
    "fasta": S3Uri("anywhere", "any/file.fa"),
    "genes": None,
    "reference": REFERENCE,
}
OTHER_RUN, OTHER_SAMPLE, OTHER_BUCKET = (
    S3Uri("results", "NA12878/r2"),
    S3Uri("results", "NA12879/r1"),
    S3Uri("other", "NA12878/r1"),
)


def check(args: dict[str, Any], **changes: Any) -> None:
    address_check.check(argparse.Namespace(**{**args, **changes}))


@pytest.mark.parametrize("args", [ALIGN, CALL, ANNOTATE, PREPARE], ids=["align", "call", "annotate", "prepare"])
def test_the_addresses_of_a_plan_are_accepted(args: dict[str, Any]) -> None:
    check(args)


@pytest.mark.parametrize(("args", "word", "uri"), [
    *((ALIGN, "reads", folder / "reads.json") for folder in (OTHER_RUN, OTHER_SAMPLE, OTHER_BUCKET)),
    (ALIGN, "reads", RESULTS / "other.json"),
    (ALIGN, "reads", RESULTS / "NA12878.json"),
    (ALIGN, "reads", RESULTS / "jobs/reads.json"),
    *((ALIGN, "bam", folder / "NA12878.bam") for folder in (OTHER_RUN, OTHER_SAMPLE, OTHER_BUCKET)),
    (ALIGN, "bam", RESULTS / "reads.json"),
    (ALIGN, "bam", RESULTS / "manifest.json"),
    (ALIGN, "bam", RESULTS / "NA12878"),
    (ALIGN, "bam", RESULTS / "NA12878. bam"),
    (CALL, "vcf", OTHER_RUN / "NA12878.vcf.gz"),
    (CALL, "lanes", [RESULTS / "NA12878.1.txt", OTHER_RUN / "NA12878.2.txt"]),
    (ANNOTATE, "vcf", RESULTS / "NA12879.vcf.gz"),
])  # fmt: skip
def test_a_file_outside_the_run_is_refused(args: dict[str, Any], word: str, uri: Any) -> None:
    with pytest.raises(UsageError, match=f"{word} must be in the folder of this run, under the name"):
        check(args, **{word: uri})


@pytest.mark.parametrize("changes", [
    {"results": OTHER_RUN},
    {"results": OTHER_SAMPLE},
    {"results": RESULTS / "jobs"},
    {"results": S3Uri("results", "r1")},
    {"run": "r2"},
    {"run": "."},
    {"attempt": "0"},
    {"attempt": "1234"},
    {"attempt": "1/2"},
])  # fmt: skip
def test_a_folder_that_is_not_that_of_the_run_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="results must be the folder of this sample and run"):
        check(ALIGN, **changes)


@pytest.mark.parametrize("folder", ["prepared/r1", "preparation/r2", "preparation/r1/x"])
def test_a_preparation_writes_to_its_own_folder(folder: str) -> None:
    with pytest.raises(UsageError):
        check(PREPARE, results=S3Uri("references", f"hg38/{folder}"))
    with pytest.raises(UsageError, match="a preparation must write to the folder of its reference"):
        check(PREPARE, results=S3Uri("references", "hg19/preparation/r1"))


@pytest.mark.parametrize("key", ["hg38/other.fa", "genome.fa", "a/hg38/genome.fa", "hg 38/genome.fa"])
def test_a_genome_that_is_not_a_prepared_reference_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match=r"reference must be genome\.fa of a prepared reference"):
        check(ALIGN, reference=S3Uri("references", key))


@pytest.mark.parametrize(
    "uri", [OTHER_RUN / "intervals.bed", RESULTS / "other.bed", S3Uri("references", "hg19/panel.bed")]
)
def test_intervals_of_another_run_or_reference_are_refused(uri: S3Uri) -> None:
    check(CALL, intervals=REFERENCE.parent / "panel.bed")
    with pytest.raises(UsageError, match="intervals must be"):
        check(CALL, intervals=uri)


def test_a_sample_named_as_annotated_calls_is_refused() -> None:
    folder = S3Uri("results", "S.annotated/r1")
    with pytest.raises(UsageError, match="sample must be a name of letters"):
        check({**COMMON, "sample": "S.annotated", "results": folder})


@pytest.mark.parametrize(("changes", "message"), [
    ({"vcpus": 0}, "vcpus and memory"),
    ({"memory": 0}, "vcpus and memory"),
    ({"sample": "NA 12878", "results": S3Uri("results", "NA 12878/r1")}, "results must be"),
])  # fmt: skip
def test_invalid_sizes_and_names_are_refused(changes: dict[str, Any], message: str) -> None:
    check(ALIGN, vcpus=1, memory=1)
    with pytest.raises(UsageError, match=message):
        check(ALIGN, **changes)


@pytest.mark.parametrize(("args", "sample"), [(ALIGN, "NA12878"), (ANNOTATE, "NA12878"), (PREPARE, "")])
def test_the_sample_is_in_the_folder_of_a_job_without_one(args: dict[str, Any], sample: str) -> None:
    assert address_check.sample_id(argparse.Namespace(**args)) == sample
