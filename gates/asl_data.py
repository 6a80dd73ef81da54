"""Check the data flow of the state machines: what each state reads, what it writes, and that the plan is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .asl_scope import CAUGHT_BY_ALL, FUNCTIONS, Scope, step_of
from .finding import Problem

OF_THE_JOB = ("attempt", "vcpus", "memory")  # diagnose changes these words in the job object
SIZES = {"VCPU": "vcpus", "MEMORY": "memory"}
UNDIAGNOSED = "$.undiagnosed"  # record_run reads it
DATA_KEYS = ("InputPath", "Parameters", "ResultSelector", "ResultPath", "OutputPath")
# What each function takes and returns.
INTERFACES: Mapping[str, Mapping[str, Any]] = {
    "Diagnose": {
        "Parameters": {"FunctionName": "${DiagnoseFunction}", "Payload.$": "$"},
        "OutputPath": "$.Payload",
    },
    "RecordRun": {
        "Parameters": {
            "FunctionName": "${RecordRunFunction}",
            "Payload": {"plan.$": "$", "execution.$": "$$.Execution.Id"},
        },
        "ResultSelector": {f"{word}.$": f"$.Payload.{word}" for word in ("status", "class", "cause")},
        "ResultPath": "$.record",
    },
}
STATUS = {"Variable": "$.record.status", "StringEquals": "SUCCEEDED"}


def check_data(scope: Scope, name: str) -> Iterator[Problem]:
    """Check what one state reads and writes."""
    state, kind = scope.states[name], scope.kind(name)
    if kind == "job":
        yield from check_job(state)
    elif kind in FUNCTIONS:
        yield from check_function(state, kind)
        yield from check_error(state, None if kind == "RecordRun" else UNDIAGNOSED)
    elif kind == "function":
        message = f"begin its name with that of its function, {' or '.join(FUNCTIONS)}; a new one needs an interface"
        yield "function-name", message
    elif kind == "Parallel":
        yield from check_branches(state)
        yield from check_error(state, UNDIAGNOSED)
    elif kind == "Pass":
        yield from check_pass(state)
    elif kind == "Choice" and [{**STATUS, "Next": choice.get("Next")} for choice in choices(state)[:1]] != choices(
        state
    ):
        yield "record-choice", f"does not read the status of the run; set Choices to one rule with {STATUS}"
    elif kind == "Fail":
        yield from check_fail(scope, name)


def choices(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of a Choice."""
    rules: list[dict[str, Any]] = state.get("Choices", [])
    return rules


def check_job(state: dict[str, Any]) -> Iterator[Problem]:
    """Check that a job gets each word of the plan under the name of the word, and the size of its own step."""
    arguments, step = state.get("Parameters", {}), step_of(state)
    for key, path in arguments.get("Parameters", {}).items():
        word = key.removesuffix(".$")
        paths = [f"$.{step}.{word}"] if word in OF_THE_JOB else [f"$.{word}", f"$.{step}.{word}"]
        if key == word or path not in paths:
            yield "job-words", f"gets {path} as {word}; set {word}.$ to {' or '.join(paths)}"
    resources = [{"Type": name, "Value.$": f"$.{step}.{word}"} for name, word in SIZES.items()]
    if arguments.get("ContainerOverrides") != {"ResourceRequirements": resources}:
        yield "job-size", f"the job does not get the size of its step; set ResourceRequirements to {resources}"
    if names := [key for key in ("InputPath", "ResultSelector", "OutputPath") if key in state]:
        yield "job-plan", f"the next state would not get the whole plan; remove {' and '.join(names)}"


def check_function(state: dict[str, Any], function: str) -> Iterator[Problem]:
    """Check that a function gets and returns what its interface says."""
    expected = INTERFACES[function]
    if {key: state[key] for key in DATA_KEYS if key in state} != expected:
        yield "function-data", f"the function gets or returns other data; use {', '.join(DATA_KEYS)} of {expected}"


def check_error(state: dict[str, Any], result: str | None) -> Iterator[Problem]:
    """Check where an error of a function or of a Parallel state is stored."""
    for catcher in state.get("Catch", []):
        if catcher.get("ResultPath") != result:
            yield "catch-result", f"record_run cannot see the error; catch {CAUGHT_BY_ALL} with the ResultPath {result}"


def check_branches(state: dict[str, Any]) -> Iterator[Problem]:
    """Check that the job object of each step leaves the branch that has its job."""
    branches = enumerate(state.get("Branches", []))
    selected = {
        f"{step}.$": f"$[{number}].{step}" for number, branch in branches for step in Scope(branch, True).steps()
    }
    if state.get("ResultSelector") != selected:
        yield "branch-results", f"job objects of the branches are lost or mixed up; set ResultSelector to {selected}"
    if names := [key for key in ("InputPath", "Parameters", "OutputPath") if key in state]:
        yield "branch-plan", f"the branches and the next state need the whole plan; remove {' and '.join(names)}"


def check_pass(state: dict[str, Any]) -> Iterator[Problem]:
    """Check that a Pass state keeps the plan: it adds a job object, or does nothing."""
    adds = "Result" in state
    if names := [key for key in DATA_KEYS if key in state and not (adds and key == "ResultPath")]:
        yield "pass-plan", f"the next state would not get the whole plan; remove {' and '.join(names)}"
    if adds and not str(state.get("ResultPath")).startswith("$."):
        yield "pass-plan", "its Result replaces the plan; set ResultPath to $.STEP"


def check_fail(scope: Scope, name: str) -> Iterator[Problem]:
    """Check that a failed execution has an error and a cause: fixed texts after Catch, else those of a function."""
    state = scope.states[name]
    given = {key: state[key] for key in ("Error", "Cause", "ErrorPath", "CausePath") if key in state}
    if {kind for _, kind in scope.entries(name)} == {"Catch"}:
        if set(given) != {"Error", "Cause"}:
            yield "fail-text", "does not say why the execution failed; set Error and Cause"
        return
    jobs = [job for source in scope.sources("Default", name) for job in scope.states if (source, "Choice", job) in
            scope.transitions and scope.kind(job) == "job"]  # fmt: skip
    prefix = f"$.{step_of(scope.states[jobs[0]])}.gave_up" if jobs else "$.record"
    expected = {"ErrorPath": f"{prefix}.class", "CausePath": f"{prefix}.cause"}
    if given != expected:
        yield "fail-paths", f"does not say why the execution failed; set {expected}"
