"""Which form a run has: by its choice, its size, the deployment and its tools."""

from __future__ import annotations

import pytest
from seqdrop.plan import forms
from seqdrop.plan.choices import ChoiceError, Choices

BWA = {"aligner": "bwa", "caller": "bcftools"}
ISAAC = {"aligner": "isaac", "caller": "bcftools"}


@pytest.mark.parametrize(
    ("chosen", "default", "size", "tools", "form"),
    [
        ("", "auto", 100, BWA, "fused"),  # the limit itself
        ("", "auto", 101, BWA, "split"),
        ("", "auto", 1, ISAAC, "split"),
        ("", "fused", 101, BWA, "fused"),
        ("", "fused", 1, ISAAC, "split"),  # the run did not choose
        ("", "split", 1, BWA, "split"),
        ("split", "fused", 1, BWA, "split"),
        ("fused", "split", 101, BWA, "fused"),
    ],
)
def test_the_form_of_a_run(chosen: str, default: str, size: int, tools: dict[str, str], form: str) -> None:
    assert forms.choose(chosen, default, size, 100, tools) == form


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        (ISAAC, "isaac cannot"),
        ({"aligner": "bwa", "caller": "strelka"}, "strelka cannot"),
        ({"aligner": "isaac", "caller": "strelka"}, "isaac and strelka cannot"),
    ],
)
def test_a_fused_run_with_a_tool_that_is_not_in_the_image_is_refused(tools: dict[str, str], names: str) -> None:
    message = f"form: {names} be in one job with other steps; choose form=split"
    with pytest.raises(ChoiceError) as error:
        Choices.from_metadata({"seqdrop-form": "fused"}).check_options(tools)
    assert str(error.value) == message
    Choices.from_metadata({"seqdrop-form": "split"}).check_options(tools)


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ChoiceError, match="seqdrop-form must be one of split, fused"):
        Choices.from_metadata({"seqdrop-form": "scattered"})


def test_the_form_of_a_run_is_metadata() -> None:
    assert Choices(form="fused").to_metadata() == {"seqdrop-form": "fused"}
