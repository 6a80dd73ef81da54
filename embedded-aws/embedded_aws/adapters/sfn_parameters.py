"""Convert PascalCase parameters to the spelling of the API and back: a stub in moto.

Replaces StateTaskService._normalise_parameters and _normalise_response
(stepfunctions/parser/asl/component/state/exec/state_task/service/state_task_service.py:208-222).
"""

from functools import cache
from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.utils import camel_to_snake_case

from embedded_aws import aws
from embedded_aws.patches import patch


@cache
def _operation(service: str, action: str) -> Any:
    """Return botocore's model of an operation, such as SubmitJob, submitJob or submit_job."""
    model = aws.service_model(service)
    names = {camel_to_snake_case(name): name for name in model.operation_names}
    return model.operation_model(names[camel_to_snake_case(action)])


def _normalise_parameters(
    self: Any, parameters: Any, boto_service_name: str | None = None, service_action_name: str | None = None
) -> None:
    if shape := _task_operation(self, boto_service_name, service_action_name).input_shape:
        self._to_boto_request(parameters, shape)


def _normalise_response(
    self: Any, response: Any, boto_service_name: str | None = None, service_action_name: str | None = None
) -> None:
    if shape := _task_operation(self, boto_service_name, service_action_name).output_shape:
        self._from_boto_response(response, shape)


def _task_operation(task: Any, service: str | None, action: str | None) -> Any:
    return _operation(task._get_boto_service_name(service), task._get_boto_service_action(action))


def install() -> None:
    """Patch moto."""
    patch(StateTaskService, "_normalise_parameters", _normalise_parameters, source="54011bfd")
    patch(StateTaskService, "_normalise_response", _normalise_response, source="cebad789")
