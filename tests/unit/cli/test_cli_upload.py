from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from seqdrop.plan import layout
from seqdrop.plan.choices import Choices
from seqdrop.storage.s3 import StoredObject
from seqdrop_cli import upload
from seqdrop_cli.fastqs import Fastqs
from seqdrop_cli.stack import Stack
from seqdrop_cli.upload import Destination
from support import cli_aws


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        yield stack


@pytest.fixture
def fastqs(tmp_path: Path) -> Fastqs:
    paths = [tmp_path / f"NA1_R{mate}.fastq.gz" for mate in (1, 2)]
    for path in paths:
        path.write_bytes(path.name.encode() * 10)
    return Fastqs.of(paths, None)


def first_destination(stack: Stack, fastqs: Fastqs, choices: Choices, prefix: str = "") -> Destination:
    return next(upload.destinations(stack, fastqs, prefix, choices.to_metadata()))


def upload_all(stack: Stack, fastqs: Fastqs, choices: Choices, prefix: str = "") -> list[StoredObject]:
    return first_destination(stack, fastqs, choices, prefix).upload_missing(stack, choices.to_metadata())


def addresses(stored: Sequence[StoredObject]) -> list[str]:
    return [str(each.uri) for each in stored]


def test_both_mates_carry_the_choices_and_the_run_id_follows_from_their_versions(fastqs: Fastqs, stack: Stack) -> None:
    choices = Choices(reference="hg", args={"align": ["--no-mark-duplicates"]})
    stored = upload_all(stack, fastqs, choices, "batch7/")
    heads = [stack.s3.head_object(Bucket="fastq", Key=f"batch7/NA1_R{mate}.fastq.gz") for mate in (1, 2)]
    assert [Choices.from_metadata(head["Metadata"]) for head in heads] == [choices, choices]
    assert [each.version_id for each in stored] == [head["VersionId"] for head in heads]
    assert addresses(stored) == [f"s3://fastq/batch7/NA1_R{mate}.fastq.gz" for mate in (1, 2)]
    pairs = [{"fastq_1": stored[0].pin(), "fastq_2": stored[1].pin()}]
    expected = layout.run_id("NA1", pairs, choices, genome="", aligner="bwa_mem3", caller="bcftools")
    assert upload.run_id(stack, fastqs, stored, choices, genome="") == expected


def test_the_same_bytes_with_the_same_choices_are_not_uploaded_again(fastqs: Fastqs, stack: Stack) -> None:
    stored = upload_all(stack, fastqs, Choices())
    assert first_destination(stack, fastqs, Choices()).is_complete
    assert upload_all(stack, fastqs, Choices()) == stored


def test_an_interrupted_upload_is_completed(fastqs: Fastqs, stack: Stack) -> None:
    [first] = upload.upload_files(stack, first_destination(stack, fastqs, Choices()).files[:1], {})
    stored = upload_all(stack, fastqs, Choices())
    assert stored[0] == first
    assert addresses(stored) == [f"s3://fastq/NA1_R{mate}.fastq.gz" for mate in (1, 2)]


@pytest.mark.parametrize("choices", [Choices(), Choices(reference="hg")], ids=["other reads", "other choices"])
def test_files_of_another_run_are_never_overwritten(fastqs: Fastqs, stack: Stack, choices: Choices) -> None:
    upload_all(stack, fastqs, Choices())
    if not choices.reference:
        for path in fastqs.pairs[0]:
            path.write_bytes(b"other")
    folder, name = addresses(upload_all(stack, fastqs, choices))[1].removeprefix("s3://fastq/").split("/")
    assert (len(folder), name) == (12, "NA1_R2.fastq.gz")
    assert len(stack.s3.list_object_versions(Bucket="fastq")["Versions"]) == 4
    assert stack.s3.list_objects_v2(Bucket="fastq")["KeyCount"] == 4
