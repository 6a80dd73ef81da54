"""Fail with States.Runtime if a rule of a Choice compares a value that the input does not have.

moto takes such a comparison for false (NoSuchVariable in
stepfunctions/parser/asl/component/state/choice/comparison/variable.py). Only IsPresent may ask for a missing value.
"""

from typing import Any

from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison_operator_type import (
    ComparisonOperatorType,
)
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison_variable import ComparisonVariable
from moto.stepfunctions.parser.asl.component.state.choice.comparison.variable import NoSuchVariable
from moto.stepfunctions.parser.asl.utils.json_path import NoSuchJsonPathError

from embedded_aws.patches import patch


def _eval_body(self: Any, env: Any) -> None:
    self.variable.eval(env)
    missing = isinstance(env.stack[-1], NoSuchVariable)
    if missing and self.comparison_function.operator_type != ComparisonOperatorType.IsPresent:
        env.stack.pop()
        raise NoSuchJsonPathError(json_path=self.variable.string_sampler.literal_value, data=env.stack[-1])
    self.comparison_function.eval(env)


def install() -> None:
    """Patch moto."""
    patch(ComparisonVariable, "_eval_body", _eval_body, source="313919b8")
