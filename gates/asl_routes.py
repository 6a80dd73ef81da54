"""Check the routes through the state machines: where results, errors and diagnoses lead."""

from __future__ import annotations

from collections.abc import Iterator

from .asl_data import choices
from .asl_scope import FORM, NEXT_TRY, Scope, step_of
from .finding import LocatedProblem, Problem

FORMS = {"scatter": "scattered"}  # step -> form, where their names differ
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
    elif kind == "form":
        yield from check_form(scope, name)
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


def check_form(scope: Scope, name: str) -> Iterator[Problem]:
    """Check that the form of a run, which tells its first step, decides before any job, and is split else.

    A plan of an earlier version has no form: a rule that compares it would end the run.
    """
    default = scope.states[name].get("Default", "")
    first, *rules = choices(scope.states[name])
    if first != (missing := {"Variable": FORM, "IsPresent": False, "Next": first.get("Next")}):
        yield "form-missing", f"plans of earlier versions have no form; begin Choices with {missing}"
    targets = [rule.get("Next", "") for rule in rules]
    forms = [form_of(step_of(scope.states[target])) if scope.kind(target) == "job" else "" for target in targets]
    expected = [
        {"Variable": FORM, "StringEquals": form, "Next": target} for form, target in zip(forms, targets, strict=True)
    ]
    if rules != expected or len({*forms, ""}) != len(forms) + 1:
        yield "form-choice", f"runs of a form do not get its job; continue Choices with {expected}"
    if scope.kind(default) != "job" or default in targets or first.get("Next") != default:
        yield (
            "form-default",
            "runs of the form split do not get their first job; set Default and Next of Choices.0 to it",
        )
    if scope.entries(name) != {("", "StartAt")}:
        yield "form-entry", "the form is chosen after a job; let StartAt alone lead here"


def form_of(step: str) -> str:
    """Return the form of the runs that have this step."""
    return FORMS.get(step, step)


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
    paths = success_paths(scope)
    path = [name for path in paths for name in path]
    for name in scope.states:
        if scope.kind(name) in ("job", "Parallel", "RecordRun", "Pass") and name not in path:
            yield "success-path", name, "a run without an error does not enter this state; correct Next or StartAt"
    for path in paths:
        end = scope.kind(path[-1]) if path else "none"
        if end != ("Pass" if scope.is_branch else "Succeed"):
            last = path[-1] if path else "machine"
            yield "success-end", last, f"a run without an error ends in a state of type {end}"
    for name in ends_without_record(scope):
        yield "record-first", name, "a path ends here without a record of the run; lead it to RecordRun"


def success_paths(scope: Scope) -> list[list[str]]:
    """Return the states that a run without an error enters, in order, for each form of a run."""
    if scope.kind(scope.start) != "form":
        return [success_path(scope, scope.start)]
    state = scope.states[scope.start]
    starts = [*(rule.get("Next", "") for rule in choices(state)), state.get("Default", "")]
    return [success_path(scope, start) for start in starts]


def success_path(scope: Scope, start: str) -> list[str]:
    """Return the states that a run without an error enters from a state on, in order."""
    path: list[str] = []
    name = start
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
