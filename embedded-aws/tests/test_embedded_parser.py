"""The interpreter of state machines: a definition is parsed once; an execution has its status before it begins."""

import json
from types import SimpleNamespace

import pytest
from embedded_aws.adapters import sfn_executions, sfn_parser
from moto.stepfunctions.parser.backend.execution import Execution


def test_a_definition_is_parsed_once() -> None:
    definition = json.dumps({"StartAt": "Only", "States": {"Only": {"Type": "Succeed"}}})
    first, second = sfn_parser.PARSE(definition), sfn_parser.PARSE(definition)
    assert (first[0] is second[0], first[1] is second[1]) == (True, True)


def test_an_execution_that_has_not_begun_is_listed_as_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Execution, "__init__", sfn_executions.make_running)
    machine = SimpleNamespace(arn="arn")
    execution = Execution("name", None, "role", "execution", "account", "region", machine, None, None, {}, "{}")
    assert (execution.status, execution.to_execution_list_item()["status"]) == ("RUNNING", "RUNNING")
