"""The event "Step Functions Execution Status Change", which moto does not send.

Wraps Execution.start and BaseExecutionWorkerCommunication._reflect_execution_status
(stepfunctions/parser/backend/execution.py).
"""

import json
from typing import Any

from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError, ProgramStopped
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution

from embedded_aws.patches import patch

from .events_bus import emit

_start = Execution.start
_reflect = BaseExecutionWorkerCommunication._reflect_execution_status


def _start_with_event(self: Any) -> None:
    # Before the start: the end of a short execution would come first.
    _emit(self, "RUNNING")
    _start(self)


def _end_with_event(self: Any) -> None:
    execution = self.execution
    state = execution.exec_worker.env.program_state()
    # Before the status, which moto sets first: a client that sees the end reads the other fields at once.
    if isinstance(state, ProgramStopped):  # moto keeps neither of them for DescribeExecution
        execution.error, execution.cause = state.error or None, state.cause or None
    elif isinstance(state, ProgramError):
        execution.error, execution.cause = state.error.get("error"), state.error.get("cause")
    elif isinstance(state, ProgramEnded):
        execution.output = execution.exec_worker.env.states.get_input()
    _reflect(self)
    _emit(execution, execution.status)


def _emit(execution: Any, status: str) -> None:
    emit("aws.states", "Step Functions Execution Status Change", [execution.exec_arn], _detail(execution, status))


def _detail(execution: Any, status: str) -> dict[str, Any]:
    """Return the detail: https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html."""
    output = json.dumps(execution.output) if status == "SUCCEEDED" else None
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "name": execution.name,
        "status": status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": _milliseconds(execution.stop_date) if execution.stop_date else None,
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "output": output,
        "outputDetails": {"included": True} if output is not None else None,
        "error": execution.error,
        "cause": execution.cause,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": None,
    }


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


def install() -> None:
    """Patch moto."""
    patch(Execution, "start", _start_with_event, source="76c0bd23")
    patch(BaseExecutionWorkerCommunication, "_reflect_execution_status", _end_with_event, source="4365394f")
