"""Parts of the embedded AWS that need no server: intrinsic functions, requests, retry rules, schedules."""

import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from embedded_aws import server_folder
from embedded_aws.adapters import lambda_worker, sfn_status_events
from embedded_aws.adapters.batch_retries import AttemptResult, should_retry
from embedded_aws.adapters.events_inputs import target_input
from embedded_aws.adapters.events_schedules import interval
from embedded_aws.adapters.sfn_error_names import matches
from embedded_aws.api_requests import request
from embedded_aws.stack import CreatedResource, ResourceSpec, Stack
from embedded_aws.template import Template, TemplateError
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError, ProgramState, ProgramStopped


def create(spec: ResourceSpec) -> CreatedResource:
    return CreatedResource(spec.name("Name"), {"Arn": f"arn:{spec.logical_id}"})


def stack(resources: dict[str, Any], overrides: dict[str, str] | None = None, **more: Any) -> Stack:
    body = {
        "Parameters": {"Size": {"Type": "String", "Default": "small"}, "Zones": {"Type": "CommaDelimitedList"}},
        "Conditions": {
            "IsLarge": {"Fn::Equals": [{"Ref": "Size"}, "large"]},
            "IsOther": {
                "Fn::Not": [{"Fn::Or": [{"Condition": "IsLarge"}, {"Fn::Equals": [{"Ref": "Size"}, "small"]}]}]
            },
        },
        "Mappings": {"Cores": {"small": {"count": "2"}, "large": {"count": "64"}}},
        "Resources": {name: {"Type": "Test::Thing", **resource} for name, resource in resources.items()},
        **more,
    }
    return Stack("s", Template(body, {}), {"Zones": "a,b", **(overrides or {})}, {"Test::Thing": create})


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"Fn::Sub": "${AWS::Partition}-${Thing.Arn}-${!Literal}-${Size}"}, "aws-arn:Thing-${Literal}-small"),
        ({"Fn::Sub": ["${Own}/${Thing}", {"Own": {"Ref": "Size"}}]}, "small/s-Thing"),
        ({"Fn::FindInMap": ["Cores", {"Ref": "Size"}, "count"]}, "2"),
        ({"Fn::Select": ["1", {"Ref": "Zones"}]}, "b"),
        ({"Fn::Join": ["-", {"Fn::Split": [",", "x,y"]}]}, "x-y"),
        ({"Fn::Base64": "hello"}, "aGVsbG8="),
        ({"a": {"Fn::If": ["IsLarge", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ([{"Fn::If": ["IsOther", 1, {"Ref": "AWS::NoValue"}]}, {"Ref": "AWS::Region"}], ["us-east-1"]),
        ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "us-east-1a"),
    ],
)
def test_an_intrinsic_function_has_the_value_of_cloudformation(part: Any, value: Any) -> None:
    assert stack({"Thing": {}}).resolve(part) == value


def test_dependencies_are_created_first_and_false_conditions_are_skipped() -> None:
    deployed = stack({"First": {"DependsOn": ["Last"]}, "Never": {"Condition": "IsLarge"}, "Last": {}})
    deployed.deploy()
    assert list(deployed.resources) == ["Last", "First"]


def test_a_circular_dependency_is_reported() -> None:
    circle = {"A": {"Properties": {"Other": {"Ref": "B"}}}, "B": {"Properties": {"Other": {"Ref": "A"}}}}
    with pytest.raises(TemplateError, match="circular dependency: A -> B -> A"):
        stack(circle).deploy()


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TemplateError, match="no parameter Sise"):
        stack({}, {"Sise": "large"})


def test_a_request_has_the_names_and_types_of_the_api() -> None:
    properties = {
        "JobDefinitionName": "tool",
        "Type": "container",
        "Timeout": {"AttemptDurationSeconds": "60"},
        "PropagateTags": "true",
        "Parameters": {"Bam": "kept"},
        "ContainerProperties": {
            "Image": "i",
            "LogConfiguration": {"LogDriver": "awslogs", "Options": {"Kept-Too": "x"}},
        },
        "OnlyInCloudFormation": 1,
    }
    assert request("batch", "RegisterJobDefinition", properties) == {
        "jobDefinitionName": "tool",
        "type": "container",
        "timeout": {"attemptDurationSeconds": 60},
        "propagateTags": True,
        "parameters": {"Bam": "kept"},
        "containerProperties": {
            "image": "i",
            "logConfiguration": {"logDriver": "awslogs", "options": {"Kept-Too": "x"}},
        },
    }


STRATEGY = {
    "attempts": 3,
    "evaluateOnExit": [
        {"action": "retry", "onStatusReason": "Host EC2*"},
        {"action": "RETRY", "onReason": "CannotPull*"},
        {"action": "RETRY", "onExitCode": "75"},
        {"action": "EXIT", "onReason": "*"},
    ],
}


@pytest.mark.parametrize(
    ("result", "retried"),
    [
        (AttemptResult(None, "Host EC2 (instance i-1) terminated."), True),
        (AttemptResult(None, "Task failed to start", "CannotPullContainerError: gone"), True),
        (AttemptResult(75, "Essential container in task exited"), True),
        (AttemptResult(70, "Essential container in task exited"), False),
        (AttemptResult(0, "Essential container in task exited"), False),
        (AttemptResult(75, "Job attempt duration exceeded timeout", final=True), False),
    ],
)
def test_the_first_rule_that_matches_decides(result: AttemptResult, retried: bool) -> None:
    assert should_retry(STRATEGY, 1, result) is retried
    assert not should_retry(STRATEGY, 3, result)


@pytest.mark.parametrize(
    ("error_equals", "error", "caught"),
    [
        ({"States.ALL"}, "States.TaskFailed", True),
        ({"States.ALL"}, "States.Runtime", False),
        ({"States.Runtime"}, "States.Runtime", True),
        ({"States.TaskFailed"}, "Batch.ServerException", True),
        ({"States.TaskFailed"}, "States.Timeout", False),
        ({"States.Timeout"}, "States.HeartbeatTimeout", True),
        ({"Mine"}, "Other", False),
    ],
)
def test_an_error_is_matched_by_its_name(error_equals: set[str], error: str, caught: bool) -> None:
    assert matches(error_equals, error) is caught


def test_a_schedule_by_rate_has_an_interval() -> None:
    assert [interval(text) for text in ("rate(5 minutes)", "rate(1 hour)", "rate(2 days)")] == [300, 3600, 172_800]
    assert interval("cron(0 12 * * ? *)") is None


def test_a_missing_field_of_an_event_is_null_in_a_transformed_input() -> None:
    transformer = {
        "InputPathsMap": {"a": "$.detail.items[1]", "b": "$.nothing"},
        "InputTemplate": '{"a": <a>, "b": <b>}',
    }
    assert target_input({"InputTransformer": transformer}, {"detail": {"items": [0, 7]}}) == {"a": 7, "b": None}
    assert target_input({"Input": '{"fixed": 1}'}, {}) == {"fixed": 1}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ProgramStopped("now", "Mine", "enough"), ("Mine", "enough", None)),
        (ProgramError({"error": "Mine", "cause": "enough"}), ("Mine", "enough", None)),
        (ProgramEnded(), (None, None, "output")),
    ],
    ids=["stopped", "failed", "done"],
)
def test_output_and_error_of_an_execution_are_set_before_its_status(
    monkeypatch: pytest.MonkeyPatch, state: ProgramState, expected: tuple[Any, ...]
) -> None:
    env = SimpleNamespace(program_state=lambda: state, states=SimpleNamespace(get_input=lambda: "output"))
    execution = SimpleNamespace(error=None, cause=None, output=None, status="", exec_worker=SimpleNamespace(env=env))
    states = []
    monkeypatch.setattr(
        sfn_status_events, "_reflect", lambda _: states.append((execution.error, execution.cause, execution.output))
    )
    monkeypatch.setattr(sfn_status_events, "_emit", lambda *_: None)
    sfn_status_events._end_with_event(SimpleNamespace(execution=execution))
    assert states == [expected]


def test_a_folder_that_another_start_deletes_at_the_same_time_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / f"{server_folder.PREFIX}abc"
    folder.mkdir()
    (folder / server_folder.LOCK).touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(server_folder.fcntl, "flock", lambda *_: shutil.rmtree(folder))
    server_folder.remove_stale()


def test_a_function_with_a_slow_import_answers_its_first_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import time\ntime.sleep(0.5)\ndef handler(event, context):\n    return event\n")
    monkeypatch.setenv("MOTO_PORT", "1")
    monkeypatch.setattr(lambda_worker, "INIT_WAIT", 0.0)
    monkeypatch.setattr(lambda_worker, "unpack", lambda *_: [tmp_path])
    named = dict.fromkeys(("function_name", "function_arn", "version", "run_time", "logs_group_name", "role"), "f")
    function = SimpleNamespace(handler="app.handler", timeout=60, memory_size=128, environment_vars={}, **named)
    worker = lambda_worker.Worker(function, tmp_path)
    try:
        assert [worker.call(function, {"a": number}, "arn:f")[0] for number in (1, 2)] == [
            {"result": {"a": 1}},
            {"result": {"a": 2}},
        ]
    finally:
        worker.close()
