"""The state machines are valid, bounded and consistent with each other."""

from __future__ import annotations

import sys

import pytest
from support import machine_contract
from support.machine_weakenings import is_found, read_machine, survivors, without_error
from support.pipeline_parts import MACHINES, ROOT, machine

from gates import asl, asl_scope

SAMPLE = 600  # weakenings of each machine


@pytest.mark.parametrize("name", MACHINES)
def test_the_gate_accepts_a_state_machine(name: str) -> None:
    assert asl.check(read_machine(name)) == []


def test_the_state_machines_are_consistent_with_each_other() -> None:
    assert asl.check_all([read_machine(name) for name in MACHINES]) == []


def test_the_state_machines_agree_with_the_code_that_they_call() -> None:
    machines = {name: machine(name) for name in MACHINES}
    assert machine_contract.problems(machines) == []
    assert not is_found(machines)


@pytest.mark.parametrize("name", MACHINES)
def test_every_weakening_of_a_state_machine_is_found(name: str) -> None:
    """A sample with a fixed seed; `python -m support.machine_weakenings` tries all of them."""
    assert survivors(name, SAMPLE) == []


@pytest.mark.parametrize("resource", [asl_scope.JOB, asl_scope.FUNCTION])
def test_an_error_that_no_state_retries_is_found(resource: str) -> None:
    for error in asl.RETRIED_ERRORS[resource]:
        machines = {name: without_error(machine(name), error) for name in MACHINES}
        assert is_found(machines), error


def test_the_picture_shows_the_current_state_machine() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    from draw_pipeline import draw

    picture = draw(machine("pipeline"))
    assert picture == (ROOT / "docs/pipeline.svg").read_text(), "run `make picture`"
    jobs = [name for name, state in asl.states(machine("pipeline")) if "batch:submitJob" in state.get("Resource", "")]
    assert [name for name in jobs if f">{name}<" not in picture] == []


def test_the_readme_shows_the_picture() -> None:
    assert "docs/pipeline.svg" in (ROOT / "README.md").read_text()
