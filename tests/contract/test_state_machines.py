"""The state machines are valid, bounded, and say the same thing in the same words everywhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from pipeline_parts import (
    MACHINES,
    ROOT,
    batch_states,
    definitions_of,
    job_definitions,
    machine,
    states,
    template,
)
from seqdrop.failure import MOST_TRIES

KEY_ORDER = [
    "Type",
    "Comment",
    "Resource",
    "Parameters",
    "Retry",
    "Catch",
    "ResultSelector",
    "ResultPath",
    "OutputPath",
    "Next",
]


def substitutions(name: str) -> set[str]:
    for resource in template()["Resources"].values():
        properties = resource.get("Properties", {})
        if properties.get("DefinitionUri") == f"statemachine/{name}.asl.json":
            return set(properties["DefinitionSubstitutions"])
    raise LookupError(name)


@pytest.mark.parametrize("name", MACHINES)
def test_the_definition_is_valid_amazon_states_language(name: str) -> None:
    lint = [str(Path(sys.executable).parent / "statelint"), str(ROOT / f"statemachine/{name}.asl.json")]
    result = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "")


@pytest.mark.parametrize("name", MACHINES)
def test_every_placeholder_is_substituted_and_every_substitution_used(name: str) -> None:
    text = (ROOT / f"statemachine/{name}.asl.json").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) == substitutions(name)


@pytest.mark.parametrize(("name", "state"), batch_states(), ids=[name for name, _ in batch_states()])
def test_submit_job_gets_only_parameters_that_batch_has(name: str, state: dict[str, Any]) -> None:
    shape = botocore.session.get_session().get_service_model("batch").operation_model("SubmitJob").input_shape
    assert unknown_members(state["Parameters"], shape, name) == []


def unknown_members(given: Any, shape: Any, path: str) -> list[str]:
    """Names in PascalCase that the API's model does not have, followed through structures and lists."""
    if shape.type_name == "list":
        return [fault for item in given for fault in unknown_members(item, shape.member, path)]
    if shape.type_name != "structure":
        return []
    members = {name[0].upper() + name[1:]: member for name, member in shape.members.items()}
    faults = []
    for word, value in given.items():
        name = word.removesuffix(".$")
        if name not in members:
            faults.append(f"{path}.{name}")
        elif not word.endswith(".$"):
            faults += unknown_members(value, members[name], f"{path}.{name}")
    return faults


def test_retries_of_jobs_are_the_same_word_for_word() -> None:
    assert len({json.dumps(state["Retry"]) for _, state in batch_states()}) == 1


def test_retries_of_functions_are_the_same_word_for_word() -> None:
    every = [
        state for name in MACHINES for _, state in states(machine(name)) if "lambda:invoke" in state.get("Resource", "")
    ]
    assert len({json.dumps(state["Retry"]) for state in every}) == 1


@pytest.mark.parametrize(("name", "state"), batch_states(), ids=[name for name, _ in batch_states()])
def test_a_job_changes_no_plan_and_puts_its_error_into_its_own_object(name: str, state: dict[str, Any]) -> None:
    step = state["Parameters"]["Tags"]["step"]
    [catch] = state["Catch"]
    assert state["ResultPath"] is None
    assert (catch["ErrorEquals"], catch["ResultPath"]) == (["States.ALL"], f"$.{step}.error")
    assert state["Parameters"]["JobName.$"] == f"States.Format('{step}-{{}}', $.run)"


@pytest.mark.parametrize("name", MACHINES)
def test_every_task_has_its_keys_in_one_order(name: str) -> None:
    for state_name, state in states(machine(name)):
        if state["Type"] == "Task":
            assert list(state) == sorted(state, key=KEY_ORDER.index), state_name


def test_no_branch_can_cancel_the_other() -> None:
    for branch in machine("pipeline")["States"]["AnalyzeAlignment"]["Branches"]:
        inside = dict(states(branch))
        assert not [name for name, state in inside.items() if state["Type"] == "Fail"]
        assert [state["Type"] for state in inside.values() if state.get("End")] == ["Pass"]
        assert all("Catch" in state for state in inside.values() if state["Type"] == "Task")


def test_a_machines_limit_exceeds_the_longest_path_through_it() -> None:
    waits = [
        action["MaxTimeSeconds"]
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::Batch::JobQueue"
        for action in resource["Properties"]["JobStateTimeLimitActions"]
    ]
    for name in MACHINES:
        total = 0
        for state_name, state in batch_states():
            if state_name in dict(states(machine(name))):
                total += max(longest(job_definitions()[tool], max(waits)) for tool in definitions_of(state))
        assert machine(name)["TimeoutSeconds"] > total


def longest(definition: dict[str, Any], wait: int) -> int:
    """Seconds until the last attempt of the last try of a job is over, if everything goes as badly as it may."""
    attempts = int(definition["RetryStrategy"]["Attempts"])
    return MOST_TRIES * attempts * (wait + int(definition["Timeout"]["AttemptDurationSeconds"]))


def test_batch_retries_end_in_a_rule_that_exits() -> None:
    for name, definition in job_definitions().items():
        rules = definition["RetryStrategy"]["EvaluateOnExit"]
        assert rules[-1] == {"OnReason": "*", "Action": "EXIT"}, name
        assert len(rules) <= 5, name


def test_the_picture_is_drawn_from_the_machine() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    from draw_pipeline import draw

    drawn = draw(machine("pipeline"))
    assert drawn == (ROOT / "docs/pipeline.svg").read_text(), "run `make picture`"


def test_the_readme_shows_the_picture() -> None:
    assert "docs/pipeline.svg" in (ROOT / "README.md").read_text()
