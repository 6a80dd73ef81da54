"""Match the errors of Retry and Catch by name, as AWS documents it.

moto matches by Python class, lets States.ALL match everything (error_equals_decl.py:44), and cannot carry a States.*
error out of a Parallel branch or a Map iteration (branches_decl.py:102, iteration_worker.py:91: ValueError).
"""

from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName

from embedded_aws.patches import patch

UNCATCHABLE = {"States.Runtime", "States.DataLimitExceeded"}  # by a wildcard; their own names match
NOT_TASK_FAILED = UNCATCHABLE | {"States.Timeout"}


def matches(error_equals: set[str], name: str | None) -> bool:
    """Return whether the names in ErrorEquals match an error."""
    if name in error_equals or ("States.Timeout" in error_equals and name == "States.HeartbeatTimeout"):
        return True
    if "States.ALL" in error_equals:
        return name not in UNCATCHABLE
    return "States.TaskFailed" in error_equals and name not in NOT_TASK_FAILED


def _eval_body(self: Any, env: Any) -> None:
    error = env.stack.pop()
    env.stack.append(matches({name.error_name for name in self.error_names}, error.error_name if error else None))


def _any_name(self: Any, error_name: str | None) -> None:
    ErrorName.__init__(self, error_name=error_name)


def install() -> None:
    """Patch moto."""
    patch(ErrorEqualsDecl, "_eval_body", _eval_body, source="6dd7718b")
    patch(CustomErrorName, "__init__", _any_name, source="2e6634bd")
