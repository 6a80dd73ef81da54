"""Check the state machines: valid, bounded in time and retries, and consistent with each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import botocore.session
from statelint.linter import Linter

from .asl_data import check_data
from .asl_fields import check_fields
from .asl_routes import check_route, check_routes
from .asl_scope import CAUGHT_BY_ALL, FUNCTION, GATE, JOB, Scope
from .finding import Finding, LocatedProblem, Problem

OPERATIONS = {JOB: ("batch", "SubmitJob"), FUNCTION: ("lambda", "Invoke")}
JSONATA_FIELDS = {"Assign", "QueryLanguage", "Arguments", "Output"}
MAX_RUN_SECONDS = 90 * 86400  # Step Functions keeps the history of an execution for 90 days after its end
MAX_DELAY_SECONDS = 300
MAX_ATTEMPTS = 20
# Errors of the APIs that another call may not have; errors of jobs and of functions themselves are diagnosed.
RETRIED_ERRORS = {
    JOB: {
        *(f"Batch.{name}" for name in ("ServerException", "TooManyRequestsException", "SdkClientException")),
        *(f"Batch.{name}" for name in ("AWSBatchException", "BatchException")),  # other spellings of the same errors
    },
    FUNCTION: {
        *(f"Lambda.{name}" for name in ("ServiceException", "AWSLambdaException", "SdkClientException")),
        *("Lambda.TooManyRequestsException", "Lambda.Unknown", "Sandbox.Timedout"),
    },
}
BROAD_ERRORS = {"States.ALL", "States.TaskFailed", "States.Timeout"}
KEY_ORDER = (
    "Type",
    "Comment",
    "Resource",
    "TimeoutSeconds",
    "Parameters",
    "Retry",
    "Catch",
    "ResultSelector",
    "ResultPath",
    "OutputPath",
    "Next",
)
UNCAUGHT = "an uncaught error ends the run without a record"


@dataclass(frozen=True)
class Machine:
    """A definition as written, with the names of the substitutions that its template declares."""

    name: str
    text: str
    substitutions: frozenset[str]

    @property
    def definition(self) -> dict[str, Any]:
        """The parsed text."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


def read_machines(source: dict[str, Any], texts: dict[str, str]) -> list[Machine]:
    """Return every state machine of a template; `texts` holds the files by path."""
    machines = []
    for resource in source["Resources"].values():
        properties = resource.get("Properties", {})
        if (path := properties.get("DefinitionUri")) in texts:
            substitutions = frozenset(properties.get("DefinitionSubstitutions", {}))
            machines.append(Machine(path.rpartition("/")[2].partition(".")[0], texts[path], substitutions))
    return machines


@lru_cache(maxsize=8)  # a changed machine comes with unchanged ones, again and again in tests
def check(machine: Machine) -> list[Finding]:
    """Return the findings in one state machine."""
    findings = [Finding(GATE, "statelint", machine.name, problem) for problem in Linter.validate(substitute(machine))]
    try:
        definition = machine.definition
    except json.JSONDecodeError:
        return findings
    if not isinstance(definition.get("States"), dict):
        return findings
    problems = [
        *check_substitutions(machine),
        *check_time_limit(definition),
        *check_transitions(definition),
        *check_query_language(definition),
        *check_retries_are_equal(definition),
    ]
    for scope in Scope.read(definition):
        problems += check_routes(scope)
        for name in scope.states:
            found = (*check_data(scope, name), *check_route(scope, name))
            problems += [(rule, name, message) for rule, message in found]
    for name, state in states(definition):
        found = (*check_fields(state), *check_state(state))
        problems += [(rule, name, message) for rule, message in found]
    return findings + [
        Finding(GATE, rule, f"{machine.name}.{location}", message) for rule, location, message in problems
    ]


def check_all(machines: list[Machine]) -> list[Finding]:
    """Return the findings in each state machine, or, if there are none, the differences between the machines."""
    findings = [finding for machine in machines for finding in check(machine)]
    if findings:
        return findings
    combined = {f"{machine.name}.{name}": state for machine in machines for name, state in states(machine.definition)}
    return [Finding(GATE, *problem) for problem in check_retries_are_equal({"States": combined})]


def substitute(machine: Machine) -> str:
    """Return the text of a definition with an ARN in place of each substitution."""
    text = machine.text.replace("${Partition}", "aws")
    return re.sub(r"\$\{(\w+)\}", r"arn:aws:any:::\1", text)


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every state of a machine, including those of its branches."""
    for name, state in definition["States"].items():
        yield name, state
        for branch in state.get("Branches", []):
            yield from states(branch)


def check_substitutions(machine: Machine) -> Iterator[LocatedProblem]:
    """Check that the definition uses exactly the substitutions that the template declares."""
    used = set(re.findall(r"\$\{(\w+)\}", machine.text))
    for name in sorted(used - machine.substitutions):
        yield "substitution", name, f"${{{name}}} has no value; add it to DefinitionSubstitutions"
    for name in sorted(machine.substitutions - used):
        yield "substitution", name, f"${{{name}}} is never used; remove it from DefinitionSubstitutions"


def check_time_limit(definition: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that the machine has a time limit."""
    limit = definition.get("TimeoutSeconds")
    if not isinstance(limit, int) or limit > MAX_RUN_SECONDS:
        message = f"a lost job would keep the run open for months; set TimeoutSeconds to at most {MAX_RUN_SECONDS}"
        yield "time-limit", "machine", message


def next_states(state: dict[str, Any]) -> list[str]:
    """Return the names of the states that can follow a state."""
    names = [state.get("Next"), state.get("Default")]
    names += [rule.get("Next") for rule in [*state.get("Choices", []), *state.get("Catch", [])]]
    return [name for name in names if name]


def check_transitions(definition: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that every transition leads to a state of its scope, and that every state is reachable and can end."""
    for scope in Scope.read(definition):
        scope_states = scope.states
        reached: set[str] = set()
        pending = [scope.start]
        while pending:
            name = pending.pop()
            if name not in scope_states:
                yield (
                    "unknown-state",
                    name,
                    "a transition leads to this state, but its scope has none of this name; correct it",
                )
            elif name not in reached:
                reached.add(name)
                pending += next_states(scope_states[name])
        for name in scope_states:
            if name not in reached:
                yield "unreachable", name, "no transition leads to the state; add one or remove the state"
        yield from check_termination(scope_states)


def check_termination(scope_states: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that an end can be reached from every state of a scope."""
    ending = {name for name, state in scope_states.items() if state.get("End") or state["Type"] in ("Succeed", "Fail")}
    while more := {
        name for name, state in scope_states.items() if name not in ending and ending & set(next_states(state))
    }:
        ending |= more
    for name in scope_states:
        if name not in ending:
            yield "endless", name, "no path leads from the state to an end; add a transition towards one"


def check_query_language(definition: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that the machine and its states use JSONPath only."""
    for name, state in [("machine", definition), *states(definition)]:
        if fields := JSONATA_FIELDS & set(state):
            names = ", ".join(sorted(fields))
            yield "jsonpath-only", name, f"Step Functions Local supports JSONPath only; remove {names}"


def check_retries_are_equal(definition: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check that all jobs have the same Retry, and all functions too."""
    for resource in (JOB, FUNCTION):
        tasks = [(name, state) for name, state in states(definition) if state.get("Resource") == resource]
        for name, state in tasks[1:]:
            first_name, first_state = tasks[0]
            if state.get("Retry") != first_state.get("Retry"):
                yield "retry-uniform", name, f"its Retry differs from that of {first_name}; make both the same"


def check_state(state: dict[str, Any]) -> Iterator[Problem]:
    """Check one state by its type."""
    if state["Type"] == "Task":
        yield from check_task(state)
        if state.get("Resource") == JOB:
            yield from check_job(state)
    elif state["Type"] == "Choice" and "Default" not in state:
        yield "choice-default", "an unexpected value fails the run; add a Default"
    elif state["Type"] == "Parallel":
        yield from check_parallel(state)


def check_task(state: dict[str, Any]) -> Iterator[Problem]:
    """Check the resource, parameters, retries, catchers and key order of a task."""
    if state.get("Resource") not in OPERATIONS:
        yield "resource", f"uses {state.get('Resource')}; set Resource to {JOB} or {FUNCTION}"
    else:
        for message in parameter_problems(state):
            yield "parameters", message
    yield from check_retriers(state.get("Retry", []))
    retried = {error for retrier in state.get("Retry", []) for error in retrier.get("ErrorEquals", [])}
    if missing := RETRIED_ERRORS.get(str(state.get("Resource")), set()) - retried:
        yield "retry-errors", f"a call that would succeed later fails the run; retry {', '.join(sorted(missing))} too"
    yield from check_catch(state)
    if set(state) <= set(KEY_ORDER) and list(state) != sorted(state, key=KEY_ORDER.index):
        yield "key-order", f"its keys are out of order; sort them as {', '.join(KEY_ORDER)}"


def check_catch(state: dict[str, Any]) -> Iterator[Problem]:
    """Check that every error of a state is caught."""
    catchers = state.get("Catch", [])
    if not catchers or catchers[-1].get("ErrorEquals") != CAUGHT_BY_ALL:
        yield "catch", f"{UNCAUGHT}; end Catch with a catcher for States.ALL"


def check_retriers(retriers: list[dict[str, Any]]) -> Iterator[Problem]:
    """Check that a task retries specific errors, with jitter and with limits."""
    if not retriers:
        yield "retry", "a throttled call fails the run; add Retry"
    for retrier in retriers:
        if broad := BROAD_ERRORS & set(retrier.get("ErrorEquals", [])):
            names = ", ".join(sorted(broad))
            yield "retry-broad", f"retries {names}, so bad data runs again; remove it and let the doctor decide"
        max_delay = retrier.get("MaxDelaySeconds", MAX_DELAY_SECONDS + 1)
        if retrier.get("JitterStrategy") != "FULL" or max_delay > MAX_DELAY_SECONDS:
            yield (
                "retry-pace",
                "calls may be retried all at once or after hours; "
                f"set JitterStrategy to FULL and MaxDelaySeconds to at most {MAX_DELAY_SECONDS}",
            )
        attempts = retrier.get("MaxAttempts", 3)
        if not 0 < attempts <= MAX_ATTEMPTS:
            yield "retry-attempts", f"retries {attempts} times; set MaxAttempts between 1 and {MAX_ATTEMPTS}"


def check_job(state: dict[str, Any]) -> Iterator[Problem]:
    """Check the results, errors, name, tags, definition, queue and parameters of a Batch job."""
    arguments = state.get("Parameters", {})
    tags = arguments.get("Tags", {})
    step = tags.get("step")
    if not isinstance(state.get("TimeoutSeconds"), int):
        yield "job-time-limit", "a job that never starts keeps the run open for weeks; set TimeoutSeconds"
    if state.get("ResultPath", "$") is not None:
        yield "job-result", "the response of Batch would enter the plan; set ResultPath to null"
    if [catcher.get("ResultPath") for catcher in state.get("Catch", [])] != [f"$.{step}.error"]:
        yield "job-error", f"the doctor cannot tell which job failed; set ResultPath of Catch to $.{step}.error"
    job_name = f"States.Format('{step}-{{}}', $.run)"
    if arguments.get("JobName.$") != job_name:
        yield "job-name", f"the job name must consist of step and run; set JobName.$ to {job_name}"
    if arguments.get("PropagateTags") is not True or tags != {"run.$": "$.run", "step": step} or not step:
        yield "job-tags", "the bill cannot be split by run and step; set both as tags and PropagateTags to true"
    substitution = f"${{{str(step).capitalize()}JobDefinition}}"
    planned = arguments.get("JobDefinition.$") == f"$.{step}.job_definition"
    if not planned and arguments.get("JobDefinition") != substitution:
        yield (
            "job-definition",
            f"the job definition is not that of the step; take JobDefinition.$ from $.{step}.job_definition of the "
            f"plan, or set JobDefinition to {substitution}",
        )
    if arguments.get("JobQueue.$") != f"$.{step}.job_queue":
        yield (
            "job-queue",
            f"the doctor cannot move the job to another queue; set JobQueue.$ to $.{step}.job_queue",
        )


def check_parallel(state: dict[str, Any]) -> Iterator[Problem]:
    """Check that branches cannot cancel each other, and that their results are added to the plan."""
    for branch in state.get("Branches", []):
        for name, inner in states(branch):
            if inner["Type"] == "Fail":
                yield "branch-fail", f"{name} would cancel the other branch; end the branch with a Pass state"
            if inner.get("End") and inner["Type"] != "Pass":
                yield "branch-end", f"{name} ends its branch with type {inner['Type']}; end it with a Pass state"
    if not str(state.get("ResultPath", "")).startswith("$."):
        yield "parallel-result", "the results of the branches would replace the plan; set ResultPath to $.NAME"
    yield from check_catch(state)


def parameter_problems(state: dict[str, Any]) -> list[str]:
    """Return the required parameters that a task lacks and the ones that its API does not have."""
    service, operation = OPERATIONS[state["Resource"]]
    shape = input_shape(service, operation)
    arguments = state.get("Parameters", {})
    names = {name.removesuffix(".$") for name in arguments}
    missing = [pascal_case(name) for name in shape.required_members if pascal_case(name) not in names]
    unknown = unknown_members(arguments, shape, operation)
    return [
        *(f"{operation} requires {name}; add it to Parameters" for name in missing),
        *(f"the API has no {path}; remove it from Parameters" for path in unknown),
    ]


@cache
def input_shape(service: str, operation: str) -> Any:
    """Return the input of an operation in botocore's model of the API."""
    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


def unknown_members(value: Any, shape: Any, path: str) -> list[str]:
    """Return the paths, in PascalCase, that are not in the API model, at every depth of structures and lists."""
    if shape.type_name == "list":
        items = value if isinstance(value, list) else []
        return [unknown for item in items for unknown in unknown_members(item, shape.member, path)]
    if shape.type_name != "structure" or not isinstance(value, dict):
        return []
    members = {pascal_case(name): member for name, member in shape.members.items()}
    unknown_paths = []
    for key, argument in value.items():
        name = key.removesuffix(".$")
        if name not in members:
            unknown_paths.append(f"{path}.{name}")
        elif not key.endswith(".$"):
            unknown_paths += unknown_members(argument, members[name], f"{path}.{name}")
    return unknown_paths


def pascal_case(name: str) -> str:
    """Return a name of the API model as Step Functions writes it."""
    return name[0].upper() + name[1:]
