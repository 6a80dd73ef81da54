"""Compare state machines with the code that they call: words, paths, time limits, ends and results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seqdrop.plan import forms, steps
from seqdrop.plan.steps import ALL, Step
from seqdrop.runs import outcome
from seqdrop.runs.diagnosis import MAX_TRIES

from support.paths.make import FUSED_PLAN, JOINT_PLAN, PLAN, PREPARATION_INPUT, SCATTERED_PLAN
from support.paths.routes import NOT_RECORDED, PREPARATION_NOT_DIAGNOSED
from support.pipeline_parts import definitions_of, job_definitions, states, template

Machines = dict[str, dict[str, Any]]  # name -> definition
# Every job gets these words besides its inputs and outputs.
COMMON = {"results", "run", "attempt", "vcpus", "memory", "args"}
QUEUE_PATIENCE = 7 * 86400  # seconds: docs/operations.md, "Jobs that wait"
INPUTS: dict[str, dict[str, Any]] = {
    "pipeline": {**SCATTERED_PLAN, **FUSED_PLAN},
    "joint": JOINT_PLAN,
    "prepare_reference": PREPARATION_INPUT,
}
# The steps of the jobs of a run without failures, in the order of the table.
ORDERS = {
    ("pipeline", forms.SPLIT): list(steps.names()),
    ("pipeline", forms.SCATTERED): list(steps.with_scatter(steps.names())),
    ("pipeline", forms.FUSED): [steps.FUSED.name],
    ("joint", ""): [step.name for step in steps.JOINT],
    ("prepare_reference", ""): [steps.PREPARE.name],
}
FIXED_ENDS = {("NOT_RECORDED", NOT_RECORDED), ("INTERNAL", PREPARATION_NOT_DIAGNOSED)}


def problems(machines: Machines) -> list[str]:
    """Return every difference between the machines and the code."""
    found = [f"{step.state}: its words" for step in ALL if not has_words(machines, step)]
    for name, definition in machines.items():
        found += [f"{state} reads {path}" for state, path in unknown_paths(definition, INPUTS[name])]
        found += [f"time limit of {state}" for state in wrong_job_limits(definition)]
        found += [f"time limit of {name}"] * (definition.get("TimeoutSeconds", 0) <= longest_path(definition))
    found += ["fixed errors and causes"] * (fixed_ends(machines) != FIXED_ENDS)
    found += ["first attempt"] * (first_attempts(machines) != {PLAN["align"]["attempt"]})
    found += ["results of the branches"] * (not sees_failed_branch(machines["pipeline"]))
    found += [f"jobs of {name} {form}" for name, form in ORDERS if jobs_of(machines[name], form) != ORDERS[name, form]]
    found += ["undiagnosed errors"] * (not sees_undiagnosed_error(machines["pipeline"]))
    return found


def jobs_of(definition: dict[str, Any], form: str) -> list[str]:
    """Return the steps of the jobs of a run without failures in order, those of one branch after those of another."""
    found, name, seen = list[str](), definition["StartAt"], set[str]()
    while name and name not in seen:
        seen.add(name)
        state = definition["States"][name]
        if "batch:submitJob" in state.get("Resource", ""):
            found.append(state["Parameters"].get("Tags", {}).get("step", ""))
        for branch in state.get("Branches", []):
            found += jobs_of(branch, form)
        rules = [rule for rule in state.get("Choices", []) if rule.get("StringEquals") == form]
        name = rules[0]["Next"] if rules else state.get("Next") or state.get("Default", "")
    return found


def has_words(machines: Machines, step: Step) -> bool:
    """Whether the job of a step gets all words of its row and no other ones, and is an array job if the row says so.

    Two machines may have the state of one step.
    """
    found = [state for name, state in all_states(machines) if name == step.state]
    return bool(found) and all(has_words_of(state, step) for state in found)


def has_words_of(state: dict[str, Any], step: Step) -> bool:
    arguments = state.get("Parameters", {})
    words = {word.removesuffix(".$") for word in arguments.get("Parameters", {})}
    is_right_array = array_of(state) == ({"Size.$": "$.parts"} if step.array else {})
    is_of_step = arguments.get("Tags", {}).get("step") == step.name and is_right_array
    return is_of_step and words == {*step.reads, *step.writes, *COMMON}


def all_states(machines: Machines) -> Iterator[tuple[str, dict[str, Any]]]:
    for definition in machines.values():
        yield from states(definition)


def unknown_paths(definition: dict[str, Any], given: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the paths of jobs whose value is not in the input, or is not text as Batch needs it.

    The size of an array job is a number.
    """
    data = dict(given)
    for _, state in states(definition):
        if state["Type"] == "Pass" and "Result" in state:
            data[state["ResultPath"].removeprefix("$.")] = state["Result"]
    paths = [
        (name, path, kind)
        for name, state in states(definition)
        if "batch:submitJob" in state.get("Resource", "")
        for kind, part in ((int, array_of(state)), (str, {**state["Parameters"], "ArrayProperties": {}}))
        for path in paths_in(part)
    ]
    return [(name, path) for name, path, kind in paths if not isinstance(value_of(data, path), kind)]


def array_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a job an array job; {} for all others."""
    array: dict[str, Any] = state.get("Parameters", {}).get("ArrayProperties", {})
    return array


def paths_in(value: Any) -> Iterator[str]:
    """Yield the JSONPaths of parameters, also those in States.Format."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if str(key).endswith(".$"):
            yield inner.removesuffix(")").rpartition(" ")[2]
        else:
            yield from paths_in(inner)


def value_of(data: Any, path: str) -> Any:
    """Return the value of a path such as $.align.vcpus; None if there is none."""
    for word in path.removeprefix("$").split(".")[1:]:
        data = data.get(word) if isinstance(data, dict) else None
    return data


def wrong_job_limits(definition: dict[str, Any]) -> list[str]:
    """Return the jobs whose time limit is not that of all attempts and a week in the queue."""
    wrong = []
    for name, state in states(definition):
        if "batch:submitJob" in state.get("Resource", ""):
            limits = [
                int(job["RetryStrategy"]["Attempts"]) * int(job["Timeout"]["AttemptDurationSeconds"])
                for job in (job_definitions()[tool] for tool in definitions_of(state))
            ]
            wrong += [name] * (state.get("TimeoutSeconds") != max(limits) + QUEUE_PATIENCE)
    return wrong


def longest_path(definition: dict[str, Any]) -> int:
    """Return the longest time in seconds that all tries of all jobs of a machine can take, one after the other."""
    waits = [
        action["MaxTimeSeconds"]
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::Batch::JobQueue"
        for action in resource["Properties"]["JobStateTimeLimitActions"]
    ]
    jobs = [state for _, state in states(definition) if "batch:submitJob" in state.get("Resource", "")]
    return sum(max(longest(job_definitions()[tool], max(waits)) for tool in definitions_of(state)) for state in jobs)


def longest(definition: dict[str, Any], wait: int) -> int:
    """Return the longest time in seconds that all attempts of all tries of a job can take."""
    attempts = int(definition["RetryStrategy"]["Attempts"])
    return MAX_TRIES * attempts * (wait + int(definition["Timeout"]["AttemptDurationSeconds"]))


def fixed_ends(machines: Machines) -> set[tuple[str, str]]:
    """Return the error and cause of every state that fails with fixed texts."""
    return {(state["Error"], state.get("Cause", "")) for _, state in all_states(machines) if "Error" in state}


def first_attempts(machines: Machines) -> set[str]:
    """Return the attempts of the job objects that a machine itself creates."""
    results = [state.get("Result", {}) for _, state in all_states(machines)]
    return {result.get("attempt", "") for result in results if result}


def sees_failed_branch(pipeline: dict[str, Any]) -> bool:
    """Whether record_run finds a failed step in what the Parallel state writes into the plan."""
    word = pipeline["States"]["AnalyzeAlignment"]["ResultPath"].removeprefix("$.")
    given_up = {"call": {"gave_up": {"class": "TOOL_FAILED", "message": ""}}, "annotate": {}, "collect": {}}
    return outcome.from_plan({**PLAN, word: given_up}).step == "call"


def sees_undiagnosed_error(pipeline: dict[str, Any]) -> bool:
    """Whether record_run finds the error of a Parallel state in the plan."""
    [catcher] = pipeline["States"]["AnalyzeAlignment"]["Catch"]
    word = catcher.get("ResultPath", "$.").removeprefix("$.")
    return outcome.from_plan({**PLAN, word: {"Error": "States.Runtime"}}).failure_class == "INTERNAL"
