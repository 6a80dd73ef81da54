"""Which form a run has: by its choice, its size, the deployment and its tools."""

from __future__ import annotations

import pytest
from seqdrop.plan import forms
from seqdrop.plan.choices import ChoiceError, Choices

BWA = {"aligner": "bwa", "caller": "bcftools"}
ISAAC = {"aligner": "isaac", "caller": "bcftools"}
STRELKA = {"aligner": "bwa", "caller": "strelka"}


def form(
    chosen: str, default: str, size: int, tools: dict[str, str], parts: int = 2, *, scattered_from: int = 1_000
) -> str:
    deployment = forms.Deployment(default, fused_limit=100, scattered_from=scattered_from, has_fused_image=True)
    return forms.of_run(deployment, chosen, tools, size, parts, has_alignments=False)


@pytest.mark.parametrize(
    ("chosen", "default", "size", "tools", "expected"),
    [
        ("", "auto", 100, BWA, "fused"),  # the limit itself
        ("", "auto", 101, BWA, "split"),
        ("", "auto", 1, ISAAC, "split"),
        ("", "auto", 999, BWA, "split"),
        ("", "auto", 1_000, BWA, "scattered"),
        ("", "auto", 1_000, ISAAC, "scattered"),
        ("", "auto", 1_000, STRELKA, "split"),
        ("", "scattered", 1, BWA, "scattered"),
        ("", "scattered", 1, STRELKA, "split"),  # the run did not choose
        ("scattered", "fused", 1, BWA, "scattered"),
        ("split", "scattered", 1_000, BWA, "split"),
        ("", "fused", 101, BWA, "fused"),
        ("", "fused", 1, ISAAC, "split"),  # the run did not choose
        ("", "split", 1, BWA, "split"),
        ("split", "fused", 1, BWA, "split"),
        ("fused", "split", 101, BWA, "fused"),
    ],
)
def test_the_form_of_a_run(chosen: str, default: str, size: int, tools: dict[str, str], expected: str) -> None:
    assert form(chosen, default, size, tools) == expected


def test_a_run_without_work_for_two_parts_is_scattered_only_if_it_chooses_so() -> None:
    assert form("", "auto", 1_000, BWA, parts=1) == "split"
    assert form("", "scattered", 1_000, BWA, parts=1) == "split"
    assert form("scattered", "auto", 1, BWA, parts=1) == "scattered"


def test_a_deployment_without_a_limit_never_scatters_by_size() -> None:
    assert form("", "auto", 10**12, BWA, parts=9, scattered_from=0) == "split"


@pytest.mark.parametrize(
    ("default", "has_image", "has_alignments", "expected"),
    [
        ("auto", True, False, "fused"),
        ("auto", False, False, "split"),
        ("auto", True, True, "split"),  # the limit is one of FASTQs
        ("fused", True, True, "fused"),
        ("fused", False, False, "split"),
        ("scattered", False, True, "scattered"),
    ],
)
def test_a_deployment_fuses_only_with_the_image_and_fastqs_of_known_size(
    default: str, has_image: bool, has_alignments: bool, expected: str
) -> None:
    deployment = forms.Deployment(default, 100, 1_000, has_image)
    assert forms.of_run(deployment, "", BWA, 100, 2, has_alignments=has_alignments) == expected


@pytest.mark.parametrize(
    ("size", "bases", "targets", "parts"),
    [
        (70_000_000_000, 3_100_000_000, False, 14),  # a genome of depth 30
        (600_000_000_000, 3_100_000_000, False, 100),
        (8_000_000_000, 40_000_000, True, 2),  # an exome
        (30_000_000_000, 30_000, False, 1),  # a virus
        (30_000_000_000, 200_000, True, 2),  # a panel
        (5_000_000_000, 3_100_000_000, False, 1),
        (5_000_000_001, 3_100_000_000, False, 2),
        (0, 0, False, 1),
    ],
)
def test_the_number_of_parts_follows_from_the_reads_and_the_bases(
    size: int, bases: int, targets: bool, parts: int
) -> None:
    assert forms.number_of_parts(size, bases, targets=targets) == parts


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        (ISAAC, "isaac cannot"),
        ({"aligner": "bwa", "caller": "strelka"}, "strelka cannot"),
        ({"aligner": "isaac", "caller": "strelka"}, "isaac and strelka cannot"),
    ],
)
def test_a_fused_run_with_a_tool_that_is_not_in_the_image_is_refused(tools: dict[str, str], names: str) -> None:
    message = f"{names} be in one job with other steps; choose form=split"
    with pytest.raises(ChoiceError) as error:
        Choices.from_metadata({"seqdrop-form": "fused"}).check_options(tools)
    assert str(error.value) == message
    Choices.from_metadata({"seqdrop-form": "split"}).check_options(tools)


def test_a_scattered_run_with_a_caller_that_needs_all_reads_is_refused() -> None:
    with pytest.raises(ChoiceError) as error:
        Choices.from_metadata({"seqdrop-form": "scattered"}).check_options(STRELKA)
    assert str(error.value) == "strelka calls a genome in one job only; choose form=split"
    Choices.from_metadata({"seqdrop-form": "scattered"}).check_options(ISAAC)


def test_the_job_that_gathers_the_parts_has_the_sizes_of_their_jobs() -> None:
    assert forms.sizes_of({"form": "scattered"}, "call") == "scatter"
    assert forms.sizes_of({"form": "scattered"}, "annotate") == "annotate"
    assert forms.sizes_of({"form": "split"}, "call") == forms.sizes_of({}, "call") == "call"


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ChoiceError, match="seqdrop-form must be one of split, fused, scattered"):
        Choices.from_metadata({"seqdrop-form": "scatter"})


def test_the_form_of_a_run_is_metadata() -> None:
    assert Choices(form="fused").to_metadata() == {"seqdrop-form": "fused"}
