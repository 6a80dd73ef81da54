"""Choices that cannot be used"""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.catalogue import case
from support.function_aws import REFERENCES, Deployed, environment
from support.made_reads import fastq

REFUSES = "Refuses the pair before an instance starts: one row and one message, however many events arrive."


def refused(
    functions: Deployed, choices: dict[str, str], other: dict[str, str] | None = None, **environment: str
) -> dict[str, Any]:
    """Upload a pair that is refused, with the choices of each mate; return its row."""
    start_run = functions.load("start_run")
    for name, value in environment.items():
        functions.monkeypatch.setenv(name, value)
    for mate, metadata in enumerate((choices, choices if other is None else other), 1):
        event = functions.put(f"NA12878_R{mate}.fastq.gz", fastq(mate), **metadata)
        results = [result["outcome"] for _ in range(2) for result in start_run.call(event)["outcomes"]]
        assert results == [["waiting"] * 2, ["refused"] * 2][mate - 1]
    [row] = functions.rows()
    assert (row["status"], functions.executions(), functions.results()) == ("FAILED", [], {})
    [(subject, message)] = functions.messages()
    assert subject == f"seqdrop run {row['run']}: not started"
    assert all(part in message for part in (row["class"], row["message"], row["advice"]))
    return row


@case(
    happens="The choices of a run (`x-amz-meta-seqdrop-*`) are unknown or invalid, or those of the mates differ.",
    see="`BAD_INPUT.CHOICES`, the choice and its possible values.",
    does=REFUSES,
    do="Upload both mates again with the same, correct metadata.",
)
@pytest.mark.parametrize(
    ("choices", "other", "message"),
    [
        (
            {"flavour": "mild"},
            None,
            "unknown choice seqdrop-flavour; known: reference, intervals, aligner, caller, "
            "alignment-format, args, lanes, priority, layout, panel, max-cost, form",
        ),
        ({"priority": "urgent"}, None, "seqdrop-priority must be one of normal, high"),
        ({"lanes": "four"}, None, "seqdrop-lanes must be a number from 1 to 99"),
        ({"args": "--ploidy 1"}, None, "seqdrop-args is not valid JSON"),
        ({"priority": "high"}, {}, "the mates carry different choices"),
    ],
    ids=["unknown", "priority", "lanes", "args", "different"],
)
def test_invalid_choices_are_refused(
    functions: Deployed, choices: dict[str, str], other: dict[str, str] | None, message: str
) -> None:
    functions.prepare()
    row = refused(functions, choices, other)
    assert row["class"] == "BAD_INPUT.CHOICES"
    assert row["message"].startswith(message)


@case(
    happens="The BED file of a run is missing, is not a BED file, or does not fit the reference: unknown contigs, "
    "regions without bases or past the end of a contig.",
    see="`BAD_INPUT.INTERVALS`, the line and its error.",
    does=REFUSES,
    do="Upload a correct BED file to the address in the message, then the FASTQs again. `seqdrop run` checks the file "
    "before it uploads the reads.",
)
@pytest.mark.parametrize(
    ("bed", "message"),
    [
        ("", "has no regions"),
        ("demo1 10\n", "line 1 of panel.bed is not a region"),
        ("demo1\t1\t2\nchr1\t10\t20\n", "line 2 of panel.bed: the reference has no contig chr1; it has demo1"),
        ("demo1\t20\t20\n", "line 1 of panel.bed: the region of demo1 from 20 to 20 has no bases"),
        ("demo1\t1\t300001\n", "line 1 of panel.bed: 300001 is past the end of demo1, which has 300000 bases"),
        (None, "panel.bed"),
    ],
    ids=["empty", "no region", "contig", "no bases", "past the end", "missing"],
)
def test_intervals_that_do_not_fit_are_refused(functions: Deployed, bed: str | None, message: str) -> None:
    functions.prepare()
    if bed is not None:
        functions.s3.put_object(Bucket=REFERENCES, Key="demo/panel.bed", Body=bed.encode())
    row = refused(functions, {"intervals": "panel.bed"})
    assert row["class"] == "BAD_INPUT.INTERVALS"
    assert message in row["message"]
    assert f"s3://{REFERENCES}/demo/panel.bed" in row["message"]


@case(
    happens="The reference of a run is not prepared, or has no index for the aligner of the run.",
    see="`REFERENCE`, and the names of the prepared references, or the command that adds the index.",
    does=REFUSES,
    do="Prepare it with `seqdrop reference`, or upload the FASTQs with the name of a prepared one.",
)
@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("hg83", "reference hg83 is not prepared; prepared are: hg38"),
        ("hg38", "reference hg38 has no index for bwa_mem3 (it has: bwa)"),
    ],
)
def test_an_unprepared_reference_is_refused(functions: Deployed, reference: str, message: str) -> None:
    functions.prepare("hg38", "bwa")
    row = refused(functions, {"reference": reference})
    assert (row["class"], row["message"]) == ("REFERENCE", message)


@case(
    happens="FASTQs arrive before the images of the tools are pushed.",
    see="`NOT_READY`, the tools without an image and the command that pushes them.",
    does=REFUSES,
    do="Push the images, deploy, then upload the reads again.",
)
def test_reads_before_the_first_push_of_images_are_refused(functions: Deployed) -> None:
    functions.prepare()
    tags = json.loads(environment("start_run")["IMAGE_TAGS"])
    row = refused(functions, {}, IMAGE_TAGS=json.dumps({**tags, "snpeff": "none"}))
    assert row["class"] == "NOT_READY"
    assert "the stack has no image of snpeff yet: run `make push STACK=seqdrop TOOLS='snpeff'`" in row["message"]


@case(
    happens="A run chooses an aligner, a caller or a format of the aligned reads that does not exist.",
    see="`BAD_INPUT.CHOICES`, and those that exist.",
    does=REFUSES,
    do="Correct the metadata (`x-amz-meta-seqdrop-aligner`, `-caller`, `-alignment-format`); upload both mates again.",
)
@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"aligner": "minimap2"}, "seqdrop-aligner must be one of bwa_mem3, bwa, isaac"),
        ({"caller": "gatk"}, "seqdrop-caller must be one of bcftools, strelka"),
        ({"alignment-format": "sam"}, "seqdrop-alignment-format must be one of bam, cram"),
    ],
)
def test_a_tool_or_a_format_that_does_not_exist_is_refused(
    functions: Deployed, choices: dict[str, str], message: str
) -> None:
    functions.prepare()
    row = refused(functions, choices)
    assert (row["class"], row["message"]) == ("BAD_INPUT.CHOICES", message)
