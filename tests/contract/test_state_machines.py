"""The state machines are valid, bounded, and say the same thing in the same words everywhere."""

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


def gated(name: str) -> asl.Machine:
    path = f"statemachine/{name}.asl.json"
    [found] = asl.read_machines(template(), {path: (ROOT / path).read_text()})
    return found


@pytest.mark.parametrize("name", MACHINES)
def test_the_gate_finds_nothing_in_a_machine(name: str) -> None:
    assert asl.check(gated(name)) == []


def test_the_machines_speak_with_one_voice() -> None:
    assert asl.check_all([gated(name) for name in MACHINES]) == []


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
    return MAX_TRIES * attempts * (wait + int(definition["Timeout"]["AttemptDurationSeconds"]))


def test_the_picture_is_drawn_from_the_machine() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    from draw_pipeline import draw

    drawn = draw(machine("pipeline"))
    assert drawn == (ROOT / "docs/pipeline.svg").read_text(), "run `make picture`"


def test_the_readme_shows_the_picture() -> None:
    assert "docs/pipeline.svg" in (ROOT / "README.md").read_text()
