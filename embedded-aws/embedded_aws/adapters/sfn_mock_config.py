"""Mocks of Step Functions Local's MockConfigFile.json, for executions of `arn#TestCase`; SFN_MOCK_CONFIG is the file.

moto has the code and never loads a file (stepfunctions/parser/mocking/mock_config.py: load_mock_test_case_for). It
selects the response by `RetryCount` (asl/eval/environment.py: get_current_mocked_response), which is 0 again when a
Choice leads back to a state; Step Functions Local counts the calls of each state of an execution.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.mocking import mock_config
from moto.stepfunctions.parser.mocking.mock_config import (
    MockedResponseReturn,
    MockedResponseThrow,
    MockTestCase,
    StateMockedResponses,
)

from embedded_aws.patches import patch, require

VARIABLE = "SFN_MOCK_CONFIG"
_current = threading.local()
_lock = threading.Lock()
_make_worker = Execution._get_start_execution_worker


@contextmanager
def use_test_case(machine: str, case: str) -> Iterator[None]:
    """Use a test case for executions that this thread starts inside the block; an empty name means none."""
    _current.case = _load(machine, case) if case else None
    try:
        yield
    finally:
        _current.case = None


def _load(machine: str, case: str) -> Any:
    if VARIABLE not in os.environ:
        raise ValidationException(f"the test case {case} needs the environment variable {VARIABLE}, which is not set")
    config = json.loads(Path(os.environ[VARIABLE]).read_text())
    try:
        states = config["StateMachines"][machine]["TestCases"][case]
        responses = [
            StateMockedResponses(state, name, _responses(config["MockedResponses"][name]))
            for state, name in states.items()
        ]
    except KeyError as missing:
        raise ValidationException(f"the mock configuration has no {missing}, needed by {machine}#{case}") from missing
    return MockTestCase(machine, case, responses)


def _responses(by_attempt: dict[str, Any]) -> list[Any]:
    """Convert {"0-1": {"Throw": ...}, "2": {"Return": ...}}."""
    responses: list[Any] = []
    for attempts, response in by_attempt.items():
        first, last = mock_config._parse_mocked_response_range(attempts)
        if "Return" in response:
            responses.append(MockedResponseReturn(first, last, response["Return"]))
        else:
            throw = response["Throw"]
            responses.append(MockedResponseThrow(first, last, throw["Error"], throw["Cause"]))
    return responses


def _worker(self: Any) -> Any:
    worker = _make_worker(self)
    worker._mock_test_case = getattr(_current, "case", None)
    return worker


def _next_response(self: Any) -> Any:
    # An object of this execution, shared by its branches.
    state = self.mock_test_case.state_mocked_responses[self.next_state_name]
    with _lock:
        call = getattr(state, "calls", 0)
        state.calls = call + 1
    if call >= len(state.mocked_responses):
        raise RuntimeError(f"the test case has {call} responses for {self.next_state_name}, which was called once more")
    return state.mocked_responses[call]


def install() -> None:
    """Patch moto."""
    require(mock_config, "_parse_mocked_response_range", source="cbb78b10")
    patch(Environment, "get_current_mocked_response", _next_response, source="a50a4d45")
    patch(Execution, "_get_start_execution_worker", _worker, source="14757157")
