"""Start, stop and describe executions: aliases, names, size limits, the error of a stop.

Wraps Execution.__init__ (stepfunctions/parser/backend/execution.py:125) and
StepFunctionsParserBackend.start_execution (stepfunctions/parser/models.py:158),
StepFunctionBackend.describe_state_machine (stepfunctions/models.py:707), StepFunctionResponse.stop_execution and
describe_execution (stepfunctions/responses.py:316, 353).
"""

import re
import threading
import uuid
from typing import Any

from moto.core import exceptions
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.stepfunctions.exceptions import InvalidExecutionInput, InvalidName
from moto.stepfunctions.models import StepFunctionBackend
from moto.stepfunctions.parser import api
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

from embedded_aws.patches import patch, require

from . import sfn_mock_config

INPUT_LIMIT = 262_144  # bytes of UTF-8
NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
MACHINE_PARTS = 7  # arn:aws:states:region:account:stateMachine:name

_starting = threading.Lock()
_make = Execution.__init__
_start = StepFunctionsParserBackend.start_execution
_describe_machine = StepFunctionBackend.describe_state_machine
_describe_execution = StepFunctionResponse.describe_execution


def make_running(self: Any, *args: Any, **kwargs: Any) -> None:
    """Set the status at once: moto lists an execution before it has begun, when it has none (ListExecutions fails)."""
    _make(self, *args, **kwargs)
    self.exec_status = api.ExecutionStatus.RUNNING


def _start_execution(
    self: Any, state_machine_arn: str, name: str | None = None, execution_input: str | None = None, *rest: Any
) -> Any:
    arn, _, case = state_machine_arn.partition("#")  # `arn#TestCase` of Step Functions Local selects mocks
    if len((execution_input or "").encode()) > INPUT_LIMIT:
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: exceeds {INPUT_LIMIT} bytes")
    if name is not None and not NAME.fullmatch(name):
        raise InvalidName(f"Invalid Name: '{name}'")
    machine = _describe_state_machine(self, arn)
    # A second start with the same name must not read an execution that moto has registered but not begun.
    with _starting, sfn_mock_config.use_test_case(machine.name, case):
        return _start(self, _machine_arn(machine.arn), name or str(uuid.uuid4()), execution_input, *rest)


def _machine_arn(arn: str) -> str:
    """Return the ARN of the machine of a version: a deployment creates each machine once."""
    return ":".join(arn.split(":")[:MACHINE_PARTS])


def _describe_state_machine(self: Any, arn: str) -> Any:
    """Find a machine by alias too; moto finds only machines and versions."""
    qualifier = arn.split(":")[MACHINE_PARTS:]
    if qualifier and not qualifier[0].isnumeric():
        arn = self.describe_state_machine_alias(arn).statemachine_arn
    return _describe_machine(self, arn)


def _stop_execution(self: Any) -> Any:
    """Stop with the error and the cause, which moto drops."""
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    execution.stop(stop_date=utcnow(), error=self._get_param("error"), cause=self._get_param("cause"))
    return ActionResult({"stopDate": execution.stop_date or utcnow()})


def _describe(self: Any) -> Any:
    """Add stopDate, which moto omits for TIMED_OUT."""
    answer = _describe_execution(self)
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    if execution.stop_date is not None and execution.status != "RUNNING":
        answer.result["stopDate"] = execution.stop_date
    return answer


def install() -> None:
    """Patch moto."""
    patch(Execution, "__init__", make_running, source="73d12830")
    patch(StepFunctionsParserBackend, "start_execution", _start_execution, source="ed33766f")
    patch(StepFunctionBackend, "describe_state_machine", _describe_state_machine, source="7e61451c")
    patch(StepFunctionResponse, "stop_execution", _stop_execution, source="35b84037")
    patch(StepFunctionResponse, "describe_execution", _describe, source="2718758b")
    require(exceptions, "AWSError", source="7ed64f02")
    _send_error_codes()


def _send_error_codes() -> None:
    """Copy the codes of the interpreter's errors to the attributes that moto's HTTP layer reads (parser/api.py)."""
    for error in vars(api).values():
        if isinstance(error, type) and issubclass(error, exceptions.AWSError) and "code" in vars(error):
            coded: Any = error
            coded.TYPE, coded.STATUS = coded.code, coded.status_code
