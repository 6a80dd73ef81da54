"""The state machines: valid, bounded, and saying the same thing in the same words everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from statelint.linter import Linter

from .finding import Finding

GATE = "asl"
JOB = "arn:${Partition}:states:::batch:submitJob.sync"
FUNCTION = "arn:${Partition}:states:::lambda:invoke"
OPERATIONS = {JOB: ("batch", "SubmitJob"), FUNCTION: ("lambda", "Invoke")}
NOT_FOR_JSONPATH = {"Assign", "QueryLanguage", "Arguments", "Output"}
LONGEST_DELAY = 300  # seconds
MOST_ATTEMPTS = 20
KEY_ORDER = (
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
)


@dataclass(frozen=True)
class Machine:
    """A definition as written, and what its template puts into it."""

    name: str
    text: str
    substitutions: frozenset[str]

    @property
    def definition(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


def machines(source: dict[str, Any], texts: dict[str, str]) -> list[Machine]:
    """Every definition of a template, `texts` by path."""
    found = []
    for resource in source["Resources"].values():
        properties = resource.get("Properties", {})
        if (path := properties.get("DefinitionUri")) in texts:
            given = frozenset(properties.get("DefinitionSubstitutions", {}))
            found.append(Machine(path.rpartition("/")[2].partition(".")[0], texts[path], given))
    return found


def check(machine: Machine) -> list[Finding]:
    problems = [Finding(GATE, "statelint", machine.name, problem) for problem in Linter.validate(substituted(machine))]
    try:
        definition = machine.definition
    except json.JSONDecodeError:
        return problems
    if not isinstance(definition.get("States"), dict):
        return problems
    said = [*placeholders(machine), *limits(definition), *flow(definition), *dialect(definition), *uniform(definition)]
    for name, state in states(definition):
        said += [(rule, name, message) for rule, message in judge(state)]
    return problems + [Finding(GATE, rule, f"{machine.name}.{where}", message) for rule, where, message in said]


def check_all(every: list[Machine]) -> list[Finding]:
    """Each by itself, and all of them in one voice."""
    findings = [finding for machine in every for finding in check(machine)]
    if findings:
        return findings
    together = {"States": {f"{m.name}.{name}": state for m in every for name, state in states(m.definition)}}
    return [Finding(GATE, rule, where, message) for rule, where, message in uniform(together)]


Said = Iterator[tuple[str, str, str]]  # rule, state, message


def substituted(machine: Machine) -> str:
    text = machine.text.replace("${Partition}", "aws")
    return re.sub(r"\$\{(\w+)\}", r"arn:aws:any:::\1", text)


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state of a machine, those of its branches too."""
    for name, state in definition["States"].items():
        yield name, state
        for branch in state.get("Branches", []):
            yield from states(branch)


def scopes(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The machine and each branch: what `Next` can reach."""
    yield definition
    for state in definition["States"].values():
        for branch in state.get("Branches", []):
            yield from scopes(branch)


def placeholders(machine: Machine) -> Said:
    used = set(re.findall(r"\$\{(\w+)\}", machine.text))
    for word in sorted(used - machine.substitutions):
        yield "substitution", word, "is used and nothing is substituted for it"
    for word in sorted(machine.substitutions - used):
        yield "substitution", word, "is substituted and never used"


def limits(definition: dict[str, Any]) -> Said:
    if not isinstance(definition.get("TimeoutSeconds"), int):
        yield "time-limit", "machine", "has no TimeoutSeconds: a lost job would hold it for a year"


def exits(state: dict[str, Any]) -> list[str]:
    """Where a state can go."""
    ways = [state.get("Next"), state.get("Default")]
    ways += [choice.get("Next") for choice in [*state.get("Choices", []), *state.get("Catch", [])]]
    return [way for way in ways if way]


def flow(definition: dict[str, Any]) -> Said:
    for scope in scopes(definition):
        inside = scope["States"]
        reached: set[str] = set()
        waiting = [scope.get("StartAt", "")]
        while waiting:
            name = waiting.pop()
            if name not in inside:
                yield "dangling", name, "is gone to, and is no state of this scope"
            elif name not in reached:
                reached.add(name)
                waiting += exits(inside[name])
        for name in inside:
            if name not in reached:
                yield "unreachable", name, "no path leads there"
        yield from endless(inside)


def endless(inside: dict[str, Any]) -> Said:
    """States from which no end can be reached."""
    ends = {name for name, state in inside.items() if state.get("End") or state["Type"] in ("Succeed", "Fail")}
    while more := {name for name, state in inside.items() if name not in ends and ends & set(exits(state))}:
        ends |= more
    for name in inside:
        if name not in ends:
            yield "endless", name, "no end can be reached from it"


def dialect(definition: dict[str, Any]) -> Said:
    for name, state in [("machine", definition), *states(definition)]:
        if foreign := NOT_FOR_JSONPATH & set(state):
            yield "jsonpath-only", name, f"{', '.join(sorted(foreign))}: Step Functions Local knows JSONPath only"


def uniform(definition: dict[str, Any]) -> Said:
    """Retry of jobs is the same word for word, and that of functions."""
    for resource in (JOB, FUNCTION):
        tasks = [(name, state) for name, state in states(definition) if state.get("Resource") == resource]
        for name, state in tasks[1:]:
            if state.get("Retry") != tasks[0][1].get("Retry"):
                yield "retry-uniform", name, f"its Retry is not that of {tasks[0][0]}"


def judge(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What one state must have, whatever its place."""
    if state["Type"] == "Task":
        yield from task(state)
        if state.get("Resource") == JOB:
            yield from job(state)
    elif state["Type"] == "Choice" and "Default" not in state:
        yield "choice-default", "without Default an unforeseen value fails the run"
    elif state["Type"] == "Parallel":
        yield from parallel(state)


def task(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if state.get("Resource") not in OPERATIONS:
        yield "resource", f"{state.get('Resource')} is neither {JOB} nor {FUNCTION}"
    else:
        for fault in parameter_faults(state):
            yield "parameters", fault
    yield from retries(state.get("Retry", []))
    catches = state.get("Catch", [])
    if not catches or catches[-1].get("ErrorEquals") != ["States.ALL"]:
        yield "catch", "an error nobody catches ends the run without a record"
    if set(state) <= set(KEY_ORDER) and list(state) != sorted(state, key=KEY_ORDER.index):
        yield "key-order", f"keys are written in the order {', '.join(KEY_ORDER)}"


def retries(rules: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if not rules:
        yield "retry", "a throttled call would fail the run"
    for rule in rules:
        names = set(rule.get("ErrorEquals", []))
        if broad := names & {"States.ALL", "States.TaskFailed", "States.Timeout"}:
            yield "retry-broad", f"{', '.join(broad)}: bad data would run again; the doctor decides that"
        if rule.get("JitterStrategy") != "FULL" or rule.get("MaxDelaySeconds", LONGEST_DELAY + 1) > LONGEST_DELAY:
            yield "retry-pace", f"full jitter, and {LONGEST_DELAY} s at most between two tries"
        if not 0 < rule.get("MaxAttempts", 3) <= MOST_ATTEMPTS:
            yield "retry-attempts", f"{MOST_ATTEMPTS} at most, and one at least"


def job(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    given = state.get("Parameters", {})
    tags = given.get("Tags", {})
    step = tags.get("step")
    if state.get("ResultPath", "$") is not None:
        yield "job-result", "ResultPath is not null: Batch's long answer would enter the plan"
    if [catch.get("ResultPath") for catch in state.get("Catch", [])] != [f"$.{step}.error"]:
        yield "job-error", f"its error goes to $.{step}.error, which is how the doctor knows whose it is"
    if given.get("JobName.$") != f"States.Format('{step}-{{}}', $.run)":
        yield "job-name", "the job is named after its step and its run"
    if given.get("PropagateTags") is not True or "run.$" not in tags or not step:
        yield "job-tags", "run and step are tagged and propagated: the bill is read by them"
    if not re.fullmatch(r"\$\{\w+JobDefinition\}", str(given.get("JobDefinition"))):
        yield "job-definition", "is substituted by the template, never written here"
    if not str(given.get("JobQueue.$", "")).endswith(".job_queue"):
        yield "job-queue", "comes from the plan: the doctor may move a job to the last resort"
    words = given.get("Parameters", {})
    if fixed := [word for word, value in words.items() if word.endswith(".$") and "States." in str(value)]:
        yield "job-words", f"{', '.join(fixed)}: values of a run are in the plan, not made here"


def parallel(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for branch in state.get("Branches", []):
        inside = dict(states(branch))
        for name, inner in inside.items():
            if inner["Type"] == "Fail":
                yield "branch-fail", f"{name} would cancel the other branch"
            if inner.get("End") and inner["Type"] != "Pass":
                yield "branch-end", f"{name} ends its branch and is no Pass"
    if "ResultSelector" not in state or not str(state.get("ResultPath", "")).startswith("$."):
        yield "parallel-result", "only the job objects go on, under a name of their own"
    if not state.get("Catch"):
        yield "catch", "an error nobody catches ends the run without a record"


def parameter_faults(state: dict[str, Any]) -> list[str]:
    """Names that the API of a Task's resource does not have, and those it cannot do without."""
    service, operation = OPERATIONS[state["Resource"]]
    shape = input_shape(service, operation)
    given = state.get("Parameters", {})
    names = {word.removesuffix(".$") for word in given}
    missing = [pascal(name) for name in shape.required_members if pascal(name) not in names]
    return [*(f"{name} is missing" for name in missing), *unknown_members(given, shape, operation)]


@cache
def input_shape(service: str, operation: str) -> Any:
    """What an operation takes, by botocore's model of its API."""
    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


def unknown_members(given: Any, shape: Any, path: str) -> list[str]:
    """Names in PascalCase that the API's model does not have, followed through structures and lists."""
    if shape.type_name == "list":
        items = given if isinstance(given, list) else []
        return [fault for item in items for fault in unknown_members(item, shape.member, path)]
    if shape.type_name != "structure" or not isinstance(given, dict):
        return []
    members = {pascal(name): member for name, member in shape.members.items()}
    faults = []
    for word, value in given.items():
        name = word.removesuffix(".$")
        if name not in members:
            faults.append(f"{path}.{name} is unknown")
        elif not word.endswith(".$"):
            faults += unknown_members(value, members[name], f"{path}.{name}")
    return faults


def pascal(name: str) -> str:
    return name[0].upper() + name[1:]
