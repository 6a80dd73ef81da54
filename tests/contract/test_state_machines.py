"""The state machines are valid, bounded and consistent with each other."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from seqdrop.runs.diagnosis import MAX_TRIES
from support.pipeline_parts import (
    MACHINES,
    ROOT,
    batch_states,
    definitions_of,
    job_definitions,
    machine,
    states,
    template,
)

from gates import asl


def read_machine(name: str) -> asl.Machine:
    path = f"statemachine/{name}.asl.json"
    [machine] = asl.read_machines(template(), {path: (ROOT / path).read_text()})
    return machine


@pytest.mark.parametrize("name", MACHINES)
def test_the_gate_accepts_a_state_machine(name: str) -> None:
    assert asl.check(read_machine(name)) == []


def test_the_state_machines_are_consistent_with_each_other() -> None:
    assert asl.check_all([read_machine(name) for name in MACHINES]) == []


def test_the_time_limit_of_a_state_machine_exceeds_its_longest_path() -> None:
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


QUEUE_PATIENCE = 7 * 86400  # seconds: docs/operations.md, "Jobs that wait"


def test_the_time_limit_of_a_job_state_is_that_of_all_attempts_and_a_week_in_the_queue() -> None:
    for name, state in batch_states():
        limits = [
            int(definition["RetryStrategy"]["Attempts"]) * int(definition["Timeout"]["AttemptDurationSeconds"])
            for definition in (job_definitions()[tool] for tool in definitions_of(state))
        ]
        assert state["TimeoutSeconds"] == max(limits) + QUEUE_PATIENCE, name


def longest(definition: dict[str, Any], wait: int) -> int:
    """Return the longest time in seconds that all attempts of all tries of a job can take."""
    attempts = int(definition["RetryStrategy"]["Attempts"])
    return MAX_TRIES * attempts * (wait + int(definition["Timeout"]["AttemptDurationSeconds"]))


def test_the_picture_shows_the_current_state_machine() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    from draw_pipeline import draw

    picture = draw(machine("pipeline"))
    assert picture == (ROOT / "docs/pipeline.svg").read_text(), "run `make picture`"


def test_the_readme_shows_the_picture() -> None:
    assert "docs/pipeline.svg" in (ROOT / "README.md").read_text()
