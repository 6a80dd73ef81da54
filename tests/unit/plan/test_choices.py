"""seqdrop.plan.choices: the choices for a run in the metadata of its FASTQs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.plan.choices import CHOICES, LANES, ChoiceError, Choices


def test_choices_are_read_from_the_metadata_that_they_write() -> None:
    choices = Choices(
        "viral", "amplicons.bed", {"call": ["--ploidy", "1"], "align": []}, 4, "high", "bwa", "strelka", "cram",
        max_cost="12.5", form="split",
    )  # fmt: skip
    metadata = choices.to_metadata()
    assert metadata == {
        "seqdrop-reference": "viral",
        "seqdrop-intervals": "amplicons.bed",
        "seqdrop-args": '{"call":["--ploidy","1"]}',
        "seqdrop-lanes": "4",
        "seqdrop-priority": "high",
        "seqdrop-aligner": "bwa",
        "seqdrop-caller": "strelka",
        "seqdrop-alignment-format": "cram",
        "seqdrop-max-cost": "12.5",
        "seqdrop-form": "split",
    }
    assert Choices.from_metadata(metadata) == replace(choices, args={"call": ["--ploidy", "1"]})


@pytest.mark.parametrize(
    ("choices", "panel"),
    [
        (Choices("hg"), "exome"),
        (Choices("hg", panel="heart"), "heart"),
        (Choices("hg", panel="none"), ""),
        (Choices("hg", "amplicons.bed"), ""),
        (Choices("virus"), ""),  # the default panel is one of the default reference
        (Choices("virus", panel="genes"), "genes"),
    ],
)
def test_the_default_panel_is_for_runs_of_its_reference_that_choose_no_regions(choices: Choices, panel: str) -> None:
    assert choices.with_panel("hg", "exome").panel == panel
    assert choices.with_panel("hg", "none").panel == ("" if choices.panel == "none" else choices.panel)
    assert Choices.from_metadata(choices.to_metadata()) == choices


def test_default_choices_need_no_metadata() -> None:
    assert Choices().to_metadata() == {}
    assert Choices.from_metadata({"owner": "someone else's metadata"}) == Choices()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"seqdrop-refrence": "hg38"},
            "unknown choice seqdrop-refrence; known: reference, intervals, aligner, caller, "
            "alignment-format, args, lanes, priority, layout, panel, max-cost, form",
        ),
        ({"seqdrop_reference": "hg38"}, "unknown choice seqdrop_reference; known: reference, intervals, aligner, "),
        ({"seqdrop-reference": ""}, "seqdrop-reference is empty: leave it out for its default"),
        ({"seqdrop-lanes": " "}, "seqdrop-lanes is empty: leave it out for its default"),
        ({"seqdrop-reference": "a/b"}, "seqdrop-reference must be a name of letters, digits, '.', '_' and '-'"),
        ({"seqdrop-intervals": "../x"}, "seqdrop-intervals must be a name of letters, digits, '.', '_' and '-'"),
        ({"seqdrop-panel": "a/b"}, "seqdrop-panel must be a name of letters, digits, '.', '_' and '-'"),
        ({"seqdrop-panel": "x", "seqdrop-intervals": "x.bed"}, "seqdrop-intervals and seqdrop-panel are both given"),
        ({"seqdrop-args": "[]"}, "seqdrop-args must be a JSON object of lists of words, its keys among "),
        ({"seqdrop-args": '{"sort": []}'}, "seqdrop-args must be a JSON object of lists of words, its keys among "),
        ({"seqdrop-args": '{"call": "--exome"}'}, "seqdrop-args must hold lists of words"),
        ({"seqdrop-args": '{"call": [1]}'}, "seqdrop-args must hold lists of words"),
        ({"seqdrop-args": "{"}, "seqdrop-args is not valid JSON"),
        ({"seqdrop-args": "[" * 1900}, "seqdrop-args is not valid JSON"),
        ({"seqdrop-lanes": "0"}, "seqdrop-lanes must be a number from 1 to 99"),
        ({"seqdrop-lanes": "100"}, "seqdrop-lanes must be a number from 1 to 99"),
        ({"seqdrop-lanes": "04"}, "seqdrop-lanes must be a number from 1 to 99"),
        ({"seqdrop-lanes": "two"}, "seqdrop-lanes must be a number from 1 to 99"),
        ({"seqdrop-aligner": "minimap2"}, "seqdrop-aligner must be one of bwa_mem3, bwa, isaac"),
        ({"seqdrop-aligner": "bcftools"}, "seqdrop-aligner must be one of bwa_mem3, bwa, isaac"),
        ({"seqdrop-caller": "gatk"}, "seqdrop-caller must be one of bcftools, strelka"),
        ({"seqdrop-caller": ""}, "seqdrop-caller is empty: leave it out for its default"),
        ({"seqdrop-alignment-format": "sam"}, "seqdrop-alignment-format must be one of bam, cram"),
        ({"seqdrop-alignment-format": "CRAM"}, "seqdrop-alignment-format must be one of bam, cram"),
        ({"seqdrop-max-cost": "0.00"}, "seqdrop-max-cost must be an amount in USD such as 12.50, more than 0"),
        ({"seqdrop-max-cost": "$5"}, "seqdrop-max-cost must be an amount in USD such as 12.50, more than 0"),
        ({"seqdrop-priority": "low"}, "seqdrop-priority must be one of normal, high"),
    ],
)
def test_an_invalid_choice_is_refused(metadata: dict[str, str], message: str) -> None:
    with pytest.raises(ChoiceError) as raised:
        Choices.from_metadata(metadata)
    assert str(raised.value).startswith(message)


@given(st.dictionaries(st.sampled_from([f"seqdrop-{name}" for name in sorted(CHOICES)]), st.text(max_size=30)))
def test_any_metadata_is_read_or_refused(metadata: dict[str, str]) -> None:
    try:
        choices = Choices.from_metadata(metadata)
    except ChoiceError:
        return
    assert Choices.from_metadata(choices.to_metadata()).to_metadata() == choices.to_metadata()
    assert LANES.fullmatch(str(choices.lanes))


def test_the_options_are_those_of_the_chosen_tool() -> None:
    defaults = {"aligner": "bwa_mem3", "caller": "bcftools"}
    exome = Choices(args={"call": ["--exome"]}, caller="strelka")
    exome.check_options(defaults)
    assert exome.tools(defaults) == {"aligner": "bwa_mem3", "caller": "strelka"}
    with pytest.raises(ChoiceError, match="options of call: bcftools has no option --exome"):
        Choices(args={"call": ["--exome"]}).check_options(defaults)
    with pytest.raises(ChoiceError, match="options of align: bwa has no option --seed-length"):
        Choices(args={"align": ["--seed-length", "12"]}, aligner="bwa").check_options({**defaults, "aligner": "isaac"})
