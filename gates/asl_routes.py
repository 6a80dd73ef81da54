"""Check the routes through the state machines: where results, errors and diagnoses lead."""

from __future__ import annotations

from collections.abc import Iterator

from .asl_data import choices
from .asl_scope import NEXT_TRY, Scope
from .finding import LocatedProblem, Problem

ENDS_OF_ERRORS = ("RecordRun", "Pass", "Fail")


def check_route(scope: Scope, name: str) -> Iterator[Problem]:
    """Check what leads to one state, and where it leads."""
    state, kind = scope.states[name], scope.kind(name)
    caught = {scope.kind(catcher.get("Next", "")) for catcher in state.get("Catch", [])}
    if kind == "job":
        if caught != {"Diagnose"}:
            yield "job-diagnosis", "a failed job is not diagnosed; let Catch lead to a state that calls diagnose"
    elif not caught <= set(ENDS_OF_ERRORS):
        yield "catch-target", f"leads to {caught} after an error; record the run or end the branch"
    if kind == "Diagnose":
        if scope.entries(name) != {("job", "Catch")}:
            yield "diagnosis-entry", "diagnose needs the error of a job; only Catch of jobs may lead here"
        if scope.kind(state.get("Next", "")) != "retry":
            yield "diagnosis-next", f"the next try is not started; continue with a Choice that reads {NEXT_TRY}"
    elif kind == "retry":
        yield from check_retry(scope, name)
    elif kind == "Choice":
        yield from check_record(scope, name)


def check_retry(scope: Scope, name: str) -> Iterator[Problem]:
    """Check that a Choice tries again exactly the jobs that are diagnosed before it, and then gives up."""
    state = scope.states[name]
    jobs = {job for diagnosis in scope.sources("Next", name) for job in scope.sources("Catch", diagnosis)}
    expected = [{"Variable": NEXT_TRY, "StringEquals": job, "Next": job} for job in scope.states if job in jobs]
    if choices(state) != expected:
        yield "retry-choice", f"diagnose cannot start each job again under its name; set Choices to {expected}"
    if scope.entries(name) != {("Diagnose", "Next")}:
        yield "retry-entry", f"{NEXT_TRY} is read before diagnose has written it; only a diagnosis may lead here"
    if (kind := scope.kind(state.get("Default", ""))) not in ENDS_OF_ERRORS:
        yield "retry-default", f"leads to a state of type {kind} after the last try; record the run or end the branch"


def check_record(scope: Scope, name: str) -> Iterator[Problem]:
    """Check that a run succeeds exactly if record_run says so."""
    state = scope.states[name]
    if scope.entries(name) != {("RecordRun", "Next")}:
        yield "record-entry", "the status is read before record_run has written it; only RecordRun may lead here"
    ends = [
        scope.kind(target)
        for target in (*(choice.get("Next", "") for choice in choices(state)), state.get("Default", ""))
    ]
    if ends != ["Succeed", "Fail"]:
        yield "record-ends", f"leads to {ends}; lead SUCCEEDED to a Succeed state and everything else to a Fail state"


def check_routes(scope: Scope) -> Iterator[LocatedProblem]:
    """Check that a run without an error does all the work, once, and ends well; and that every run is recorded."""
    path = success_path(scope)
    for name in scope.states:
        if scope.kind(name) in ("job", "Parallel", "RecordRun", "Pass") and name not in path:
            yield "success-path", name, "a run without an error does not enter this state; correct Next or StartAt"
    end = scope.kind(path[-1]) if path else "none"
    if end != ("Pass" if scope.is_branch else "Succeed"):
        yield "success-end", path[-1] if path else "machine", f"a run without an error ends in a state of type {end}"
    for name in ends_without_record(scope):
        yield "record-first", name, "a path ends here without a record of the run; lead it to RecordRun"


def success_path(scope: Scope) -> list[str]:
    """Return the states that a run without an error enters, in order."""
    path: list[str] = []
    name = scope.start
    while name in scope.states and name not in path:
        path.append(name)
        name = next((rule.get("Next", "") for rule in choices(scope.states[name])), scope.states[name].get("Next", ""))
    return path


def ends_without_record(scope: Scope) -> Iterator[str]:
    """Yield the ends that a path reaches without RecordRun; none in a machine that does not record its runs."""
    records = scope.named("RecordRun")
    reached = set(records)
    pending = [scope.start] if records else []
    while pending:
        name = pending.pop()
        if name in scope.states and name not in reached:
            reached.add(name)
            pending += [target for source, _, target in scope.transitions if source == name]
            if scope.kind(name) in ("Succeed", "Fail"):
                yield name
