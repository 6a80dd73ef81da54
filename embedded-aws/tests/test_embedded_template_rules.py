"""The section Rules of a template, as CloudFormation documents its functions."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from embedded_aws import rules
from embedded_aws.template import TemplateError

PARAMETERS = {"Size": 0, "Name": "a", "Names": ["a", "b"], "Empty": ""}


def check(assertion: Any) -> None:
    rules.check(
        {"Rules": {"R": {"Assertions": [{"Assert": assertion, "AssertDescription": "it is false"}]}}}, PARAMETERS
    )


@pytest.mark.parametrize(
    ("assertion", "expected"),
    [
        ({"Fn::Equals": [{"Ref": "Size"}, "0"]}, True),
        ({"Fn::Equals": [{"Ref": "Name"}, "b"]}, False),
        ({"Fn::Not": [{"Fn::Equals": [{"Ref": "Empty"}, ""]}]}, False),
        ({"Fn::Contains": [["a", "b"], {"Ref": "Name"}]}, True),
        ({"Fn::Contains": [["b", "c"], {"Ref": "Name"}]}, False),
        ({"Fn::EachMemberEquals": [{"Ref": "Names"}, "a"]}, False),
        ({"Fn::EachMemberIn": [{"Ref": "Names"}, ["a", "b", "c"]]}, True),
        ({"Fn::EachMemberIn": [{"Ref": "Names"}, ["a"]]}, False),
        ({"Fn::And": [{"Fn::Equals": ["x", "x"]}, {"Fn::Equals": ["x", "y"]}]}, False),
        ({"Fn::Or": [{"Fn::Equals": ["x", "x"]}, {"Fn::Equals": ["x", "y"]}]}, True),
    ],
)
def test_an_assertion_holds_or_not(assertion: dict[str, Any], *, expected: bool) -> None:
    with nullcontext() if expected else pytest.raises(TemplateError, match="rule R: it is false"):
        check(assertion)


def test_a_rule_applies_only_if_its_condition_is_true() -> None:
    never = {"Fn::Equals": ["x", "y"]}
    rule = {"RuleCondition": never, "Assertions": [{"Assert": never}]}
    rules.check({"Rules": {"R": rule}}, PARAMETERS)


@pytest.mark.parametrize("assertion", [{"Ref": "AWS::StackName"}, {"Fn::Join": ["", ["a"]]}])
def test_a_rule_reads_parameters_only_and_has_its_own_functions(assertion: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match=r"no parameter|do not support"):
        check({"Fn::Equals": [assertion, "a"]})
