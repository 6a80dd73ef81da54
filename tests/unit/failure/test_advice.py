"""Test seqdrop.failure.advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from seqdrop.failure import advice
from support.function_aws import ROOT, parameters

FOLDERS = ("layers/common/seqdrop", "functions", "containers")


def raised_classes() -> set[str]:
    """Return the classes of invalid inputs that the code of layer, functions and wrappers can report."""
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    text = "".join(path.read_text() for path in paths if path != Path(advice.__file__))
    kinds = re.findall(r'BadInputError\(\s*"([A-Z_]+)"', text) + re.findall(r'"BAD_INPUT\.([A-Z_]+)"', text)
    return {f"BAD_INPUT.{kind}" for kind in kinds if kind != "REFERENCE"}


def test_every_reported_kind_of_invalid_input_has_its_own_advice() -> None:
    assert "BAD_INPUT.TRUNCATED" in raised_classes()
    assert raised_classes() == {name for name in advice.ADVICE if name.startswith("BAD_INPUT.")}


def test_every_class_has_its_own_advice() -> None:
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


def test_commands_are_completed_so_that_they_can_be_copied() -> None:
    text = "Push them (`make push`), then run `seqdrop resume RUN` or `seqdrop reference`; more: `seqdrop why RUN`"
    assert advice.complete(text, "0123", "prod") == (
        "Push them (`make push STACK=prod`), then run `seqdrop resume 0123 --stack prod` or "
        "`seqdrop reference --stack prod`; more: `seqdrop why 0123 --stack prod`"
    )
    assert advice.complete(text, "0123", "") == text.replace("RUN", "0123")


def test_every_command_in_an_advice_is_completed() -> None:
    for step in ("align", "prepare"):
        for name in advice.ADVICE:
            text = advice.complete(advice.get(name, step), "0123", "prod")
            assert "RUN" not in text
            assert all("prod" in command for command in re.findall(r"`(?:seqdrop|make) [^`]*`", text))


@pytest.mark.parametrize("failure_class", ["REFERENCE", "BAD_INPUT.MISSING", "BAD_INPUT.ARGS", "NOT_READY"])
def test_the_advice_for_a_failed_preparation_is_about_its_files(failure_class: str) -> None:
    text = advice.get(failure_class, "prepare")
    assert "then run `seqdrop reference` again" in text or ": run `seqdrop reference` again" in text
    assert text != advice.get(failure_class, "align")
    assert not text.startswith("Prepare it")
    assert "reads" not in text
