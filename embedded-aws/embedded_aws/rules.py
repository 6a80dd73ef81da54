"""The section Rules of a template: conditions on parameters, checked before anything is created."""

from collections.abc import Callable
from typing import Any

from .template import TemplateError


def check(body: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Raise TemplateError with the description of the first assertion that these parameters violate."""
    for name, rule in body.get("Rules", {}).items():
        if "RuleCondition" in rule and not _value(rule["RuleCondition"], parameters):
            continue
        for assertion in rule["Assertions"]:
            if not _value(assertion["Assert"], parameters):
                raise TemplateError(f"rule {name}: {assertion.get('AssertDescription', assertion['Assert'])}")


def _value(part: Any, parameters: dict[str, Any]) -> Any:
    """Return a part of a rule with each function replaced by its value."""
    if isinstance(part, list):
        return [_value(item, parameters) for item in part]
    if not isinstance(part, dict):
        return str(part)
    ((function, argument),) = part.items()
    if function == "Ref":
        if argument not in parameters:
            raise TemplateError(f"a rule refers to {argument}, which is no parameter")
        return parameters[argument] if isinstance(parameters[argument], list) else str(parameters[argument])
    if function not in FUNCTIONS:
        raise TemplateError(f"a rule uses {function}, which rules do not support")
    return FUNCTIONS[function](_value(argument, parameters))


# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-rules.html
# without those for parameters of types such as AWS::EC2::VPC::Id.
FUNCTIONS: dict[str, Callable[[list[Any]], bool]] = {
    "Fn::And": all,
    "Fn::Contains": lambda pair: pair[1] in pair[0],
    "Fn::EachMemberEquals": lambda pair: all(item == pair[1] for item in pair[0]),
    "Fn::EachMemberIn": lambda pair: set(pair[0]) <= set(pair[1]),
    "Fn::Equals": lambda pair: bool(pair[0] == pair[1]),
    "Fn::Not": lambda operands: not operands[0],
    "Fn::Or": any,
}
