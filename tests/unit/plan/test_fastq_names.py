"""seqdrop.plan.fastq_names: the sample, the lane and the mate in the key of a FASTQ."""

from __future__ import annotations

import re
from pathlib import Path

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
    ("S.annotated_R1.fastq.gz", "S_annotated", "", 1),  # its calls would be named as annotated ones
    ("S.annotated.2_R1.fastq.gz", "S.annotated.2", "", 1),
    ("S1_L001_R1_001.fastq.gz", "S1", "L001", 1),
    ("Patient_S1_R1.fastq.gz", "Patient_S1", "", 1),
    ("Patient_S2_1.fq.gz", "Patient_S2", "", 1),
    ("Patient_S2_L001_R1.fastq.gz", "Patient_S2", "L001", 1),  # bcl2fastq writes _001
    ("A_S1_S12_L001_R1_001.fastq.gz", "A_S1", "L001", 1),
    ("S06.1.fastq.gz", "S06", "", 1),
    ("x.v1.2.fastq", "x.v1", "", 2),
    ("S09_r2.fastq.gz", "S09", "", 2),
    ("S10_R1.FASTQ.GZ", "S10", "", 1),
    ("S10_2.FQ", "S10", "", 2),
    ("S13_R1_val_1.fq.gz", "S13", "", 1),
    ("S13_S4_L002_R2_001_val_2.fq.gz", "S13", "L002", 2),
    ("S15_R1_trimmed.fastq.gz", "S15", "", 1),
    ("S15_1.trimmed.fastq.gz", "S15", "", 1),
    ("S17_R2.clean.fq.gz", "S17", "", 2),
    ("S18_1P.fq.gz", "S18", "", 1),
    ("in/S21/R2.fastq.gz", "S21", "", 2),
    ("A1_FKDL2_L1_1.fq.gz", "A1_FKDL2", "L1", 1),  # Novogene
    ("V350_L01_23_2.fq.gz", "V350_23", "L01", 2),  # MGI: flow cell, lane, barcode, mate
    ("V350_L01_UDB-23_2.fq.gz", "V350_UDB-23", "L01", 2),
    ("PATF_L001_R1_002.fastq.gz", "PATF", "L001", 1),
    ("Undetermined/NA1_R1.fastq.gz", "NA1", "", 1),
]


@pytest.mark.parametrize(("key", "group"), [
    ("a/NA12878_L002_R1.fastq.gz", "a/NA12878"),
    ("NA12878_2.fq.gz", "NA12878"),
    ("a/V350_L01_23_2.fq.gz", "a/V350_23"),
    ("V350_L02_UDB-23_1.fq.gz", "V350_UDB-23"),
])  # fmt: skip
def test_the_group_of_all_lanes_has_the_barcode_of_mgi(key: str, group: str) -> None:
    name = fastq_names.parse(key)
    assert name
    assert name.group == group


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
        "R1.fastq.gz",
        "/R1.fastq.gz",
        "ä/R1.fastq.gz",
        "NA12878_R1_val_2.fq.gz",
        "Undetermined_S0_L001_R1_001.fastq.gz",
        "run/._NA12878_R1.fastq.gz",
        "",
    ],
)
def test_other_keys_are_not_parsed(key: str) -> None:
    assert fastq_names.parse(key) is None


LONG, NO_SAMPLE = "the sample id has more than 64 letters", "no sample id is in front of the mate"
COPY, NO_MATE = "the name is that of a copy", "the name does not end in _R1 or _R2"
IGNORED = [
    (f"S27_{'x' * 76}_R1.fastq.gz", LONG),
    (f"{'x' * 1000}_2.fq", LONG),
    ("ä_R1.fastq.gz", "'ä' leaves no valid sample id"),
    ("日本_R2.FQ", "'日本' leaves no valid sample id"),
    ("ä/R1.fastq.gz", "'ä' leaves no valid sample id"),
    ("R1.fastq.gz", NO_SAMPLE),
    ("_R1.fastq.gz", NO_SAMPLE),
    ("S_R1 (1).fastq.gz", COPY),
    ("S_R1.fastq (2).gz", COPY),
    ("S_R1(1).fastq", COPY),
    ("S_R1.fastq.gz.1", COPY),
    ("S_R1.fastq.gz.part", "a part of a copy"),
    ("Undetermined_S0_L001_R1_001.fastq.gz", "of no sample"),
    ("undetermined_R2.fq.gz", "of no sample"),
    ("UndeterminedLane3_1.fq.gz", "of no sample"),
    ("run/Undetermined/R1.fastq.gz", "of no sample"),
    ("a/._S_R1.fastq.gz", "macOS"),
    ("._S.fastq.gz", "macOS"),
    ("S_S1_L001_I1_001.fastq.gz", "index reads"),
    ("S_R3_001.fastq.gz", "only R1 and R2 are read"),
    ("S_R1_val_2.fq.gz", "its two mate numbers differ"),
    ("S_interleaved.fastq.gz", "interleaved"),
    ("S_R1R2.fastq.gz", "interleaved"),
    ("S.fastq.gz", NO_MATE),
    ("S_R1_paired.fastq", NO_MATE),
    ("S_R1.gz", NO_MATE),
    ("S_1U.fq.gz", "without a mate"),
    ("S_forward.fastq.gz", "name the mates _R1 and _R2"),
    ("S.bam", "samtools fastq"),
    ("S.CRAM", "samtools fastq"),
    ("SRR1.sra", "fasterq-dump"),
    ("S_R1.fastq.bz2", "only gzip is read"),
    ("S_R1.FASTQ.ZST", "only gzip is read"),
    ("S_1.fq.zip", "only gzip is read"),
    ("S36_S1_L001_R1_001.fastq.ora", "DRAGEN ORA"),
]
OTHERS = ["", "a/", "a_R1.fastq.gz/", "README.md", "S_R1.fastq.gz.md5", "S.vcf.gz", "S.bam.bai", "S_R1_fastqc.html"]


@pytest.mark.parametrize(("key", "reason"), IGNORED)
def test_the_reason_why_a_file_of_reads_is_ignored_is_specific(key: str, reason: str) -> None:
    assert reason in fastq_names.ignored_because(key)
    assert fastq_names.parse(key) is None


@pytest.mark.parametrize("key", [*OTHERS, "S_R1.fastq.gz", "S_S1_L001_R2_001.fastq.gz"])
def test_files_without_reads_and_read_pairs_have_no_such_reason(key: str) -> None:
    assert fastq_names.ignored_because(key) == ""


@given(st.text(max_size=80), st.sampled_from([".fastq.gz", ".fq", ".FASTQ", ".fastq.bz2", ".fastq.gz.2", ".bam"]))
def test_every_name_with_an_ending_of_reads_is_that_of_a_pair_or_has_a_reason(stem: str, ending: str) -> None:
    reason = fastq_names.ignored_because(stem + ending)
    assert (fastq_names.parse(stem + ending) is None) == bool(reason)
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("in/NA12878_S1_L002_R1_001.fastq.gz", "in/NA12878_S1_"),
        ("NA12878_L002_R2.fastq.gz", "NA12878_"),
        ("NA12878_L002.R1.fastq.gz", "NA12878_"),
        ("V350_L01_23_1.fq.gz", "V350_"),
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
        ("in/NA12878_S1_L002_R1_001.fastq.gz", False),  # another line of the sample sheet
        ("in/NA12878_R1.fastq.gz", False),
        ("in/NA12878_L002_7_R1.fastq.gz", False),  # another barcode
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
    assert re.fullmatch("(L[0-9]{1,3})?", name.lane)
    one, two = name.mates
    differing = {place: (a, b) for place, (a, b) in enumerate(zip(one, two, strict=True)) if a != b}
    assert differing == dict.fromkeys(name.mate_places, ("1", "2"))
    assert name.mates[name.mate - 1] == stem + ending
    for mate, key in enumerate(name.mates, start=1):
        parsed = parse(key)
        assert (parsed.sample, parsed.lane, parsed.mate, parsed.mates) == (name.sample, name.lane, mate, name.mates)
        assert parsed.is_of_pair(name)
        assert key.startswith(name.lanes_prefix)
        assert key.startswith(name.pair_prefix)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("S_R1.fastq.gz", "S_R2.fq", True),
        ("S_R1.fastq.gz", "S_r2.FASTQ", True),
        ("S_R1_val_1.fq.gz", "S_R2_val_2.fq", True),
        ("S/R1.fastq.gz", "S/R2.fastq", True),
        ("S_R1.fastq.gz", "S_R2_trimmed.fastq.gz", False),
        ("S_R1.fastq.gz", "S.R2.fastq.gz", False),
        ("S_R1_001.fastq.gz", "S_R2_002.fastq.gz", False),
        ("S_R1.fastq.gz", "T_R2.fastq.gz", False),
        ("a/S_R1.fastq.gz", "b/S_R2.fastq.gz", False),
    ],
)
def test_mates_may_differ_in_file_format_and_in_the_case_of_r(one: str, two: str, expected: bool) -> None:
    assert parse(one).is_of_pair(parse(two)) is expected


@pytest.mark.parametrize(
    ("name", "sample", "lane"),
    [
        ("NA1_S1_R1.fastq.gz", "NA1_S1", ""),
        ("NA1_S1_1.fastq.gz", "NA1_S1", ""),
        ("NA1_S1_L001_R1.fastq.gz", "NA1_S1", "L001"),
        ("NA1_L1_1.fq.gz", "NA1", "L1"),
        ("NA1_S1_L1_R1_001.fastq.gz", "NA1_S1", "L1"),
        ("V350_L01_23_1.fq.gz", "V350_23", "L01"),
    ],
)
def test_the_sample_ids_in_the_upgrade_notes_stay(name: str, sample: str, lane: str) -> None:
    """A late event would start another run of a pair whose sample id changes: see docs/operations.md."""
    parsed = fastq_names.parse(name)
    assert parsed
    assert (parsed.sample, parsed.lane) == (sample, lane)
    notes = (Path(__file__).parents[3] / "docs/operations.md").read_text().partition("## Upgrade notes")[2]
    assert f"`{name.partition('.')[0]}`" in notes
