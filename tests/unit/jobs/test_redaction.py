"""seqdrop.jobs.redaction: sample ids, file names and secrets are replaced."""

from __future__ import annotations

import pytest
from seqdrop.jobs.redaction import Redactor
from seqdrop.storage.uri import S3Uri
from seqdrop.text import plain_line


def test_a_file_name_is_redacted_in_every_notation() -> None:
    redactor = Redactor("S1")
    redactor.add_object(S3Uri("b", "in/Müller+1 R1.fq.gz"), "lane1_R1.fastq.gz")
    text = "in/Müller+1 R1.fq.gz in/M%C3%BCller%2B1%20R1.fq.gz M\\u00fcller+1 R1.fq.gz S1_x XS1"
    assert redactor.redact(text) == "lane1_R1.fastq.gz lane1_R1.fastq.gz lane1_R1.fastq.gz <sample>_x XS1"


@pytest.mark.parametrize(
    "name", ["NA\x1b[1m12878_R1.fq.gz", "NA\t12878_R1.fq.gz", "NA\u202e12878_R1.fq.gz", "NA\n1_R1.fq.gz"]
)
def test_a_file_name_is_redacted_after_its_control_characters_are_cleaned_up(name: str) -> None:
    redactor = Redactor("S1")
    redactor.add_object(S3Uri("b", f"in/{name}"), "lane1_R1.fastq.gz")
    messages = f"{name} ends early: cat: {plain_line(name)}; in {plain_line('in/' + name)}"
    assert redactor.redact(messages) == "lane1_R1.fastq.gz ends early: cat: lane1_R1.fastq.gz; in lane1_R1.fastq.gz"


def test_secrets_in_the_environment_are_redacted_unless_they_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc/def+ghi=")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "test")
    assert Redactor().redact("key=abc/def+ghi=, a test") == "key=<secret>, a test"


def test_the_samples_of_a_joint_run_are_redacted_too() -> None:
    redactor = Redactor("FAMILY")
    redactor.add_samples("C01", "F01")
    assert redactor.redact("FAMILY: C01, F01, C012") == "<sample>: <sample>, <sample>, C012"


def test_only_whole_words_are_redacted() -> None:
    assert Redactor("t").redact("the job t ended: t.bam") == "the job <sample> ended: <sample>.bam"
