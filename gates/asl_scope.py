"""Read the scopes of a state machine: the machine and each branch, with the kinds of their states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

GATE = "asl"
JOB = "arn:${Partition}:states:::batch:submitJob.sync"
FUNCTION = "arn:${Partition}:states:::lambda:invoke"
FUNCTIONS = ("Diagnose", "RecordRun")  # the name of a state starts with that of its function
CAUGHT_BY_ALL = ["States.ALL"]
FORM = "$.form"  # of the run, in its plan
NEXT_TRY = "$.next"  # diagnose writes the name of the state that tries again


@dataclass(frozen=True)
class Scope:
    """The states of a machine or of a branch, and the transitions between them: none leaves its scope."""

    definition: dict[str, Any]
    is_branch: bool

    @classmethod
    def read(cls, definition: dict[str, Any], *, is_branch: bool = False) -> Iterator[Scope]:
        """Yield the scope of a definition and those of its branches."""
        yield cls(definition, is_branch)
        for state in definition["States"].values():
            for branch in state.get("Branches", []):
                yield from cls.read(branch, is_branch=True)

    @property
    def states(self) -> dict[str, dict[str, Any]]:
        """The states by name."""
        states: dict[str, dict[str, Any]] = self.definition["States"]
        return states

    @property
    def start(self) -> str:
        """The name of the first state."""
        return str(self.definition.get("StartAt", ""))

    @cached_property
    def transitions(self) -> list[tuple[str, str, str]]:
        """Every transition as source, kind (StartAt, Next, Default, Catch, Choice) and target."""
        found = [("", "StartAt", self.start)]
        for name, state in self.states.items():
            found += [(name, kind, state[kind]) for kind in ("Next", "Default") if kind in state]
            found += [(name, "Catch", catcher.get("Next", "")) for catcher in state.get("Catch", [])]
            found += [(name, "Choice", choice.get("Next", "")) for choice in state.get("Choices", [])]
        return found

    def kind(self, name: str) -> str:
        """Return job, a name of FUNCTIONS, retry (the Choice after a diagnosis), form, or the type of a state."""
        state = self.states.get(name, {})
        if state.get("Resource") == JOB:
            return "job"
        if state.get("Resource") == FUNCTION:
            return next((function for function in FUNCTIONS if name.startswith(function)), "function")
        if any(choice.get("Variable") == NEXT_TRY for choice in state.get("Choices", [])):
            return "retry"
        if any(choice.get("Variable") == FORM for choice in state.get("Choices", [])):
            return "form"
        return str(state.get("Type", ""))

    def named(self, kind: str) -> list[str]:
        """Return the names of the states of a kind."""
        return [name for name in self.states if self.kind(name) == kind]

    def entries(self, name: str) -> set[tuple[str, str]]:
        """Return the kinds of the sources and of the transitions that lead to a state."""
        return {(self.kind(source), kind) for source, kind, target in self.transitions if target == name}

    def sources(self, kind: str, name: str) -> list[str]:
        """Return the states from which transitions of a kind lead to a state."""
        return [source for source, found, target in self.transitions if (found, target) == (kind, name)]

    def steps(self) -> list[str]:
        """Return the steps of the jobs of this scope."""
        return [step_of(self.states[name]) for name in self.named("job")]


def step_of(state: dict[str, Any]) -> str:
    """Return the step of a job, from its tags."""
    return str(state.get("Parameters", {}).get("Tags", {}).get("step"))
