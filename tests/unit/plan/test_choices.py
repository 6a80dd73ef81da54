"""What may be chosen for a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdrop.plan.choices import CHOICES, LANES, ChoiceError, Choices


def test_choices_become_metadata_and_come_back() -> None:
    choices = Choices("viral", "amplicons.bed", {"call": ["--ploidy", "1"], "align": []}, 4, "high")
    metadata = choices.to_metadata()
    assert metadata == {
        "seqdrop-reference": "viral",
        "seqdrop-intervals": "amplicons.bed",
        "seqdrop-args": '{"call":["--ploidy","1"]}',
        "seqdrop-lanes": "4",
        "seqdrop-priority": "high",
    }
    assert Choices.from_metadata(metadata) == Choices("viral", "amplicons.bed", {"call": ["--ploidy", "1"]}, 4, "high")


def test_no_choice_needs_no_metadata() -> None:
    assert Choices().to_metadata() == {}
    assert Choices.from_metadata({"owner": "someone else's metadata"}) == Choices()


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (
            {"seqdrop-refrence": "hg38"},
            "unknown choice seqdrop-refrence; known: reference, intervals, args, lanes, priority",
        ),
        ({"seqdrop-reference": "a/b"}, "seqdrop-reference must be a name of letters, digits, '.', '_' and '-'"),
        ({"seqdrop-intervals": "../x"}, "seqdrop-intervals must be a name of letters, digits, '.', '_' and '-'"),
        ({"seqdrop-args": "[]"}, "seqdrop-args must be a JSON object of lists of words, its keys among "),
        ({"seqdrop-args": '{"sort": []}'}, "seqdrop-args must be a JSON object of lists of words, its keys among "),
        ({"seqdrop-args": '{"call": "--exome"}'}, "seqdrop-args must hold lists of words"),
        ({"seqdrop-args": '{"call": [1]}'}, "seqdrop-args must hold lists of words"),
        ({"seqdrop-args": "{"}, "seqdrop-args is not valid JSON"),
        ({"seqdrop-lanes": "0"}, "seqdrop-lanes must be a number from 1 to 99"),
        ({"seqdrop-lanes": "100"}, "seqdrop-lanes must be a number from 1 to 99"),
        ({"seqdrop-priority": "low"}, "seqdrop-priority must be one of normal, high"),
        ({"seqdrop-lanes": "two"}, "seqdrop-lanes must be a number from 1 to 99"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_with_a_sentence(metadata: dict[str, str], sentence: str) -> None:
    with pytest.raises(ChoiceError) as raised:
        Choices.from_metadata(metadata)
    assert str(raised.value).startswith(sentence)


@given(st.dictionaries(st.sampled_from([f"seqdrop-{name}" for name in sorted(CHOICES)]), st.text(max_size=30)))
def test_any_metadata_is_a_choice_or_refused(metadata: dict[str, str]) -> None:
    try:
        chosen = Choices.from_metadata(metadata)
    except ChoiceError:
        return
    assert Choices.from_metadata(chosen.to_metadata()).to_metadata() == chosen.to_metadata()
    assert LANES.fullmatch(str(chosen.lanes))
