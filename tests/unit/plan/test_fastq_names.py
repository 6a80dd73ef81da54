"""seqdrop.plan.fastq_names: the sample, the lane and the mate in the key of a FASTQ."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.plan import fastq_names
from seqdrop.plan.fastq_names import FastqName
from support.hostile_names import HARMLESS, HOSTILE
from support.plan_strategies import endings, stems

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


def parse(key: str) -> FastqName:
    name = fastq_names.parse(key)
    assert name
    return name


@pytest.mark.parametrize(("key", "sample", "lane", "mate"), NAMES)
def test_a_fastq_key_has_a_sample_a_lane_and_a_mate(key: str, sample: str, lane: str, mate: int) -> None:
    name = parse(key)
    assert (name.sample, name.lane, name.mate) == (sample, lane, mate)
    assert name.mates[mate - 1] == key
    other = parse(name.mates[2 - mate])
    assert (other.sample, other.lane, other.mate, other.mates) == (sample, lane, 3 - mate, name.mates)


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
def test_other_keys_are_not_parsed(key: str) -> None:
    assert fastq_names.parse(key) is None


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("in/NA12878_S1_L002_R1_001.fastq.gz", "in/NA12878_S1"),
        ("NA12878_L002_R2.fastq.gz", "NA12878"),
        ("NA12878_L002.R1.fastq.gz", "NA12878"),
    ],
)
def test_all_lanes_of_a_sample_have_the_same_prefix(key: str, prefix: str) -> None:
    assert parse(key).lanes_prefix == prefix


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("in/NA12878_L002_R2.fastq.gz", True),
        ("in/NA12879_L002_R1.fastq.gz", False),
        ("NA12878_L002_R1.fastq.gz", False),
        ("in/old/NA12878_L002_R1.fastq.gz", False),
    ],
)
def test_lanes_of_one_run_have_the_same_sample_and_folder(key: str, expected: bool) -> None:
    assert parse("in/NA12878_L001_R1.fastq.gz").is_lane_of(parse(key)) is expected


@pytest.mark.parametrize("stem", HOSTILE)
def test_a_hostile_file_name_never_becomes_a_sample_id(stem: str) -> None:
    name = fastq_names.parse(f"{stem}_R1.fastq.gz")
    assert name is None or HARMLESS.fullmatch(name.sample)


@given(st.text(max_size=1100))
def test_any_text_can_be_parsed(key: str) -> None:
    name = fastq_names.parse(key)
    assert name is None or HARMLESS.fullmatch(name.sample)


@given(stems, endings)
def test_a_parsed_key_has_a_harmless_sample_and_mates_that_differ_in_one_digit(stem: str, ending: str) -> None:
    name = fastq_names.parse(stem + ending)
    if name is None:
        return
    assert HARMLESS.fullmatch(name.sample)
    assert re.fullmatch("(L[0-9]{3})?", name.lane)
    one, two = name.mates
    assert [(a, b) for a, b in zip(one, two, strict=True) if a != b] == [("1", "2")]
    assert name.mates[name.mate - 1] == stem + ending
    for mate, key in enumerate(name.mates, start=1):
        parsed = parse(key)
        assert (parsed.sample, parsed.lane, parsed.mate, parsed.mates) == (name.sample, name.lane, mate, name.mates)
        assert key.startswith(name.lanes_prefix)
