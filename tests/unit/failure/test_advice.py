"""Test seqdrop.failure.advice."""

from __future__ import annotations

import re

import pytest
from seqdrop.failure import advice
from support.function_aws import parameters

KINDS = (
    "TRUNCATED CORRUPT_GZIP MATE_COUNT MATE_NAMES SAME_FILE SWAPPED EMPTY NOT_GZIP MALFORMED LIMIT ARGS CHOICES "
    "MISSING PLAN ALIGNER"
)


def test_every_class_has_its_own_advice() -> None:
    assert {f"BAD_INPUT.{kind}" for kind in KINDS.split()} <= advice.ADVICE.keys()
    texts = {advice.get(name) for name in advice.ADVICE}
    assert len(texts) == len(advice.ADVICE)
    assert advice.get("BAD_INPUT.NEW") == advice.get("BAD_INPUT")
    assert advice.get("NEW") == advice.get("INTERNAL")


@pytest.mark.parametrize("step", ["align", "call", "annotate", "collect", "compose", "prepare"])
def test_advice_names_only_parameters_of_the_stack(step: str) -> None:
    for name in advice.ADVICE:
        names = re.findall(r"\b(?:[A-Z][a-z0-9]+){2,}\b", advice.get(name, step))
        assert set(names) <= parameters().keys()
    assert f"{step.title()}Memory" in advice.get("OUT_OF_MEMORY", step)


def test_a_failed_preparation_is_retried_with_its_own_command() -> None:
    assert "`seqdrop reference`" in advice.get("OUT_OF_MEMORY", "prepare")
    assert "`seqdrop resume RUN`" in advice.get("OUT_OF_MEMORY", "align")


@pytest.mark.parametrize("failure_class", ["REFERENCE", "BAD_INPUT.MISSING", "BAD_INPUT.ARGS", "NOT_READY"])
def test_the_advice_for_a_failed_preparation_is_about_its_files(failure_class: str) -> None:
    text = advice.get(failure_class, "prepare")
    assert "then run `seqdrop reference` again" in text or ": run `seqdrop reference` again" in text
    assert text != advice.get(failure_class, "align")
    assert not text.startswith("Prepare it")
    assert "reads" not in text
