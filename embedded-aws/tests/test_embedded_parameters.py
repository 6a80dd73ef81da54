"""Parameters: a value that CloudFormation would refuse is error before a resource is created."""

from typing import Any

import pytest
from embedded_aws import parameters
from embedded_aws.template import Template, TemplateError

DECLARED: dict[str, Any] = {
    "Aligner": {"Type": "String", "Default": "isaac", "AllowedValues": ["isaac", "bwa"]},
    "Days": {"Type": "Number", "Default": 90, "AllowedValues": [1, 90]},
    "Tag": {"Type": "String", "Default": "none", "AllowedPattern": "[a-z]+", "ConstraintDescription": "must be a word"},
    "Price": {"Type": "String", "Default": "0.5", "AllowedPattern": r"\d+(\.\d+)?"},
    "Vcpus": {"Type": "Number", "Default": 2, "MinValue": 1, "MaxValue": 64},
    "Name": {"Type": "String", "Default": "abc", "MinLength": 2, "MaxLength": 4},
    "Zones": {"Type": "CommaDelimitedList", "Default": "a,b", "AllowedValues": ["a", "b", "c"]},
}


def values(**overrides: str) -> dict[str, Any]:
    return parameters.values(Template({"Parameters": DECLARED}, {}), overrides)


def test_values_are_overrides_or_defaults() -> None:
    assert values(Aligner="bwa", Vcpus="64", Zones="c, a")["Zones"] == ["c", " a"]
    assert values() | {"Zones": 0} == {name: declared["Default"] for name, declared in DECLARED.items()} | {"Zones": 0}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Aligner", "Isaac", "parameter Aligner is 'Isaac', and must be one of isaac, bwa"),
        ("Days", "2", "must be one of 1, 90"),
        ("Tag", "a b", "parameter Tag is 'a b', and must be a word"),
        ("Price", "1.", "must match"),
        ("Price", "1.0\n", "must match"),
        ("Vcpus", "0", "must be at least 1"),
        ("Vcpus", "65", "must be at most 64"),
        ("Vcpus", "two", "must be a number"),
        ("Name", "a", "must have 2 to 4 characters"),
        ("Name", "abcde", "must have 2 to 4 characters"),
        ("Zones", "a,d", "parameter Zones is 'd', and must be one of a, b, c"),
        ("Colour", "red", "the template has no parameter Colour"),
    ],
)
def test_a_value_that_the_template_does_not_allow_is_refused_in_one_sentence(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(TemplateError) as error:
        values(**{name: value})
    assert message in str(error.value)
