"""Every path through the state machines, with one mock file: on embedded-aws, or at --sfn-endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import yaml
from seqdrop.failure import classify
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.runs import diagnosis
from support.paths import engine
from support.paths.cases import (
    DONE,
    FUSED,
    JOBS,
    JOINT,
    JOINT_STEPS,
    NOT_PLACED,
    PIPELINE,
    PREPARATION,
    SCATTERED,
    SILENT,
    SPOT_RECLAIMED,
    STEPS,
    WITHOUT_FORM,
    Case,
)
from support.paths.engine import Execution
from support.paths.make import (
    DIAGNOSE_STATES,
    FILE,
    FUSED_PLAN,
    JOINT_MACHINE,
    JOINT_PLAN,
    LAST_RESORT,
    PIPELINE_MACHINE,
    PLAN,
    PREPARATION_INPUT,
    PREPARATION_MACHINE,
    SCATTERED_PLAN,
    WHOLE_INSTANCE,
    Rehearsal,
    lambda_response,
    record_answer,
    text,
)
from support.paths.routes import (
    CAUSES,
    FINAL,
    GAVE_UP,
    GAVE_UP_LATER,
    GOOD,
    GOOD_FUSED,
    GOOD_PREPARATION,
    NOT_DIAGNOSED,
    OTHERS,
    PREPARATION_NOT_DIAGNOSED,
    REPAIRED,
    SECOND_TRY,
    TOO_LITTLE_MEMORY,
    TWICE_THE_MEMORY,
    UNDIAGNOSED,
    Route,
    Submission,
    first,
    second,
)
from support.paths.routes import JOINT as JOINT_ROUTES
from support.paths.routes import SCATTERED as SCATTERED_ROUTES
from support.pipeline_parts import ROOT, machine, states

from functions.diagnose.app import failed_step

PIPELINE_STATES = machine("pipeline")["States"]
VARIANT_STATES, STAT_STATES = (branch["States"] for branch in PIPELINE_STATES["AnalyzeAlignment"]["Branches"])
PREPARATION_STATES = machine("prepare_reference")["States"]
JOINT_STATES = machine("joint")["States"]
SCOPES = {
    PIPELINE_MACHINE: (PIPELINE_STATES, VARIANT_STATES, STAT_STATES),
    JOINT_MACHINE: (JOINT_STATES,),
    PREPARATION_MACHINE: (PREPARATION_STATES,),
}
CASES = {PIPELINE_MACHINE: {**PIPELINE, **FUSED, **SCATTERED}, JOINT_MACHINE: JOINT, PREPARATION_MACHINE: PREPARATION}
EVERY_CASE = [(name, case) for name, cases in CASES.items() for case in cases]
Executor = Callable[[str, str], Execution]
OTHER_JOBS = {"fused": GOOD_FUSED, "prepare": GOOD_PREPARATION}  # that are no step of a run
AHEAD = 8  # executions at once: the next cases run while a test waits for its own


@pytest.fixture(scope="module")
def execute(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """Execute each case once for all tests of this file."""
    earlier_plan = {word: value for word, value in PLAN.items() if word != "form"}
    forms = {**dict.fromkeys(FUSED, FUSED_PLAN), **dict.fromkeys(SCATTERED, SCATTERED_PLAN)}
    plans = {**forms, WITHOUT_FORM: earlier_plan}
    inputs = {PIPELINE_MACHINE: PLAN, JOINT_MACHINE: JOINT_PLAN, PREPARATION_MACHINE: PREPARATION_INPUT}

    def cached(running: engine.Engine) -> Executor:
        start = cache(lambda name, case: running.start(name, case, plans.get(case, inputs[name])))

        @cache
        def execute(name: str, case: str) -> Execution:
            position = EVERY_CASE.index((name, case))
            for following in EVERY_CASE[position : position + AHEAD]:
                start(*following)
            return running.wait(start(name, case))

        return execute

    if endpoint := request.config.getoption("--sfn-endpoint"):
        yield cached(engine.connect(endpoint))
        return
    with engine.embedded(tmp_path_factory.mktemp("paths")) as running:
        yield cached(running)


def route(execution: Execution) -> Route:
    top = {**PIPELINE_STATES, **PREPARATION_STATES}
    return Route(*(" ".join(execution.entered(scope)) for scope in (top, VARIANT_STATES, STAT_STATES)))


def execution_of(execute: Executor, step: str, name: str) -> Execution:
    return execute(PREPARATION_MACHINE if step == "prepare" else PIPELINE_MACHINE, step.title() + name)


def test_the_mock_file_has_the_answers_of_the_functions() -> None:
    assert FILE.read_text() == text(), "run `make mocks`"


def test_the_mock_file_has_the_format_of_step_functions_local() -> None:
    config = json.loads(FILE.read_text())
    names = set()
    for name, by_case in config["StateMachines"].items():
        tasks = {state for state, it in states(machine(engine.DEFINITIONS[name])) if it["Type"] == "Task"}
        for case, answers in by_case["TestCases"].items():
            assert case.isalnum(), "the name of a case becomes part of an ARN"
            assert answers.keys() <= tasks
            names |= set(answers.values())
    assert names == config["MockedResponses"].keys()
    for name, answers in config["MockedResponses"].items():
        assert {word for answer in answers.values() for word in answer} <= {"Return", "Throw"}, name
        ranges = [[int(number) for number in key.split("-")] for key in answers]
        assert [numbers[0] for numbers in ranges] == [0, *(numbers[-1] + 1 for numbers in ranges[:-1])], name


def test_the_compose_file_mounts_the_mock_file() -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["stepfunctions"]
    [volume] = service["volumes"]
    assert ROOT / volume["source"] == FILE
    assert service["environment"]["SFN_MOCK_CONFIG"] == volume["target"]
    assert service["ports"] == ["127.0.0.1:8083:8083"]


@pytest.mark.parametrize(("name", "case"), EVERY_CASE, ids=[f"{name}-{case}" for name, case in EVERY_CASE])
def test_the_mocked_answers_are_those_of_the_functions_to_the_real_requests(
    execute: Executor, name: str, case: str
) -> None:
    execution = execute(name, case)
    answers = CASES[name][case]
    faults = [fault for tries in answers.jobs.values() for calls in tries for fault in calls if fault is not DONE]
    verdicts = {fault.cause: fault.verdict for fault in faults}
    real: dict[str, list[Any]] = {}
    for plan in execution.payloads("diagnose"):
        step = failed_step(plan)
        answer = diagnosis.diagnose(plan, step, verdicts[plan[step]["error"]["Cause"]], LAST_RESORT, WHOLE_INSTANCE)
        state = "DiagnoseJoint" if name == JOINT_MACHINE else DIAGNOSE_STATES[step]
        real.setdefault(state, []).append(lambda_response(answer))
    for request in execution.payloads("record_run"):
        real.setdefault("RecordRun", []).append(record_answer(request["plan"]))
    for state in (*dict.fromkeys(DIAGNOSE_STATES.values()), "DiagnoseJoint", "RecordRun"):
        mocked = mocked_answers(name, case, state)
        expected = [
            answer if "Return" in mock else None for answer, mock in zip(real.get(state, []), mocked, strict=True)
        ]
        assert [mock.get("Return") for mock in mocked] == expected


@cache
def mock_file() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text())
    return content


def mocked_answers(name: str, case: str, state: str) -> list[dict[str, Any]]:
    """Return one answer for each call of a state."""
    config = mock_file()
    response = config["StateMachines"][name]["TestCases"][case].get(state)
    answers = []
    for key, answer in config["MockedResponses"].get(response, {}).items():
        start, _, end = key.partition("-")
        answers += [answer] * (int(end or start) - int(start) + 1)
    return answers


def test_a_run_without_failures_succeeds(execute: Executor) -> None:
    execution = execute(PIPELINE_MACHINE, "HappyPath")
    assert (execution.ending, route(execution)) == (("SUCCEEDED",), GOOD)
    assert execution.record == {"status": "SUCCEEDED", "class": "", "cause": ""}
    names = [step for step in STEPS if step not in OTHER_JOBS]
    assert {step: execution.submissions(step) for step in names} == {step: [first(step)] for step in names}


def test_a_reference_is_prepared(execute: Executor) -> None:
    execution = execute(PREPARATION_MACHINE, "HappyPath")
    assert (execution.ending, route(execution)) == (("SUCCEEDED",), GOOD_PREPARATION)
    assert execution.submissions("prepare") == [first("prepare")]


def test_every_failure_of_a_job_has_its_expectation() -> None:
    assert JOBS.keys() == FINAL.keys() | REPAIRED.keys() | {"OutOfMemoryTwice"}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", FINAL)
def test_a_failure_without_another_try_ends_with_its_class_and_message(execute: Executor, step: str, name: str) -> None:
    execution = execution_of(execute, step, name)
    failure_class, message, submissions = FINAL[name]
    assert (execution.ending, route(execution)) == (("FAILED", failure_class, message), GAVE_UP[step])
    assert execution.submissions(step) == [first(step)] * submissions
    if step != "prepare":
        status = {"collect": "INCOMPLETE", "compose": "INCOMPLETE"}.get(step, "FAILED")
        assert execution.record == {"status": status, "class": failure_class, "cause": execution.description["cause"]}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", REPAIRED)
def test_a_failure_that_can_be_repaired_is_retried_with_a_change(execute: Executor, step: str, name: str) -> None:
    execution = execution_of(execute, step, name)
    times, change = REPAIRED[name]
    without_diagnosis = OTHER_JOBS.get(step, GOOD)
    assert (execution.ending, route(execution)) == (("SUCCEEDED",), SECOND_TRY[step] if change else without_diagnosis)
    retry = [second(step, **change(step))] if change else []
    assert execution.submissions(step) == [first(step)] * times + retry


@pytest.mark.parametrize("step", STEPS)
def test_memory_is_doubled_once(execute: Executor, step: str) -> None:
    execution = execution_of(execute, step, "OutOfMemoryTwice")
    assert (execution.ending, route(execution)) == (("FAILED", "OUT_OF_MEMORY", TOO_LITTLE_MEMORY), GAVE_UP_LATER[step])
    assert execution.submissions(step) == [first(step), second(step, memory=TWICE_THE_MEMORY[step])]


@pytest.mark.parametrize(("step", "name"), CAUSES)
def test_the_cause_explains_the_failure_completely(execute: Executor, step: str, name: str) -> None:
    assert execution_of(execute, step, name).description["cause"].split("\n") == CAUSES[step, name]


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_of_diagnose_ends_the_step_and_the_run_is_recorded(execute: Executor, step: str) -> None:
    execution = execution_of(execute, step, "Undiagnosed")
    message = PREPARATION_NOT_DIAGNOSED if step == "prepare" else NOT_DIAGNOSED
    assert (execution.ending, route(execution)) == (("FAILED", "INTERNAL", message), UNDIAGNOSED[step])
    if step != "prepare":
        status = {"collect": "INCOMPLETE", "compose": "INCOMPLETE"}.get(step, "FAILED")
        assert execution.record == {"status": status, "class": "INTERNAL", "cause": execution.description["cause"]}


def test_every_case_has_its_expectation() -> None:
    of_steps = {step.title() + name for step in STEPS for name in (*JOBS, "Undiagnosed")}
    assert {**PIPELINE, **FUSED}.keys() - of_steps == OTHERS.keys() | {"HappyPath"}
    assert PREPARATION.keys() - of_steps == {"HappyPath", "DoctorBusy"}


def test_every_case_of_a_scattered_run_has_its_expectation() -> None:
    assert SCATTERED.keys() == SCATTERED_ROUTES.keys()


@pytest.mark.parametrize("case", SCATTERED_ROUTES)
def test_an_array_job_calls_the_parts_and_another_job_gathers_them(execute: Executor, case: str) -> None:
    execution = execute(PIPELINE_MACHINE, case)
    assert (execution.ending, route(execution)) == SCATTERED_ROUTES[case]
    calls = {
        step: [call for call in execution.calls() if call.get("Tags", {}).get("step") == step]
        for step in ("scatter", "call")
    }
    assert [call["ArrayProperties"] for call in calls["scatter"]] == [{"Size": 4}] * len(calls["scatter"])
    assert not any("ArrayProperties" in call for call in calls["call"])
    assert {call["Parameters"]["parts"] for tries in calls.values() for call in tries} == {"4"}
    first_try = Submission("default", "2", "3000", "1")
    changes = {"ScatterOutOfMemory": {"memory": "6000"}, "ScatterSpotReclaimed": {"queue": "last-resort"}}
    again = [first_try._replace(attempt="2", **changes[case])] if case in changes else []
    assert execution.submissions("scatter") == [first_try, *again]


def test_the_job_that_gathers_parts_is_given_more_memory_by_the_parameter_of_its_size(execute: Executor) -> None:
    execution = execute(PIPELINE_MACHINE, "ScatteredCallOutOfMemoryTwice")
    size = Submission("default", "2", "3000", "1")
    assert execution.submissions("call") == [size, size._replace(memory="6000", attempt="2")]
    assert "raise ScatterMemory of the stack" in execution.record["cause"]


def test_every_case_of_a_joint_run_has_its_expectation() -> None:
    assert JOINT.keys() == JOINT_ROUTES.keys()


@pytest.mark.parametrize("case", JOINT_ROUTES)
def test_a_joint_run_repeats_a_step_that_failed_or_ends(execute: Executor, case: str) -> None:
    execution = execute(JOINT_MACHINE, case)
    assert (execution.ending, " ".join(execution.entered(JOINT_STATES))) == JOINT_ROUTES[case]
    arrays = [call.get("ArrayProperties") for call in execution.calls() if call.get("Tags", {}).get("step") == "merge"]
    assert arrays == [{"Size": 2}] * len(arrays)
    again = [step for step in JOINT_STEPS if case in {f"{step.title()}OutOfMemory", "EveryStepAgain"}]
    for step in again:
        memory = {"annotate": ("8000", "16000")}.get(step, ("4000", "8000"))
        assert [submitted[2] for submitted in execution.submissions(step)] == list(memory)


@pytest.mark.parametrize("case", OTHERS)
def test_a_run_with_several_failures(execute: Executor, case: str) -> None:
    execution = execute(PIPELINE_MACHINE, case)
    assert (execution.ending, route(execution)) == OTHERS[case]


def test_a_reference_is_prepared_although_diagnose_is_throttled(execute: Executor) -> None:
    execution = execute(PREPARATION_MACHINE, "DoctorBusy")
    assert (execution.ending, route(execution)) == (("SUCCEEDED",), SECOND_TRY["prepare"])
    assert len(execution.payloads("diagnose")) == 3


@pytest.mark.parametrize(
    ("case", "submissions"),
    [
        (
            "MemoryThenSpot",
            [first("align")]
            + [second("align", memory="32000")] * 2  # Batch's API failed before the host did
            + [Submission("last-resort", "8", "32000", "3")],
        ),
        (
            "ThreeTriesAreAll",
            [first("align"), second("align", memory="32000"), Submission("last-resort", "8", "32000", "3")],
        ),
        ("ThrottledForGood", [first("align")] * 21 + [second("align")] * 21),
        ("ServerBusyTwentyTimes", [first("align")] * 21),
        ("TwoKindsOfApiError", [first("align")] * 5),
    ],
)
def test_the_changes_of_several_tries_add_up(execute: Executor, case: str, submissions: list[Submission]) -> None:
    assert execute(PIPELINE_MACHINE, case).submissions("align") == submissions


def test_of_two_failures_the_essential_one_decides(execute: Executor) -> None:
    assert execute(PIPELINE_MACHINE, "BothBranchesGiveUp").record["status"] == "FAILED"
    assert execute(PIPELINE_MACHINE, "StatsAndReportGiveUp").record["status"] == "INCOMPLETE"


@pytest.mark.parametrize(("case", "function", "calls"), [
    ("DoctorBusy", "diagnose", 3),
    ("DoctorHungAndLost", "diagnose", 3),
    ("DoctorBusyForGood", "diagnose", 11),
    ("RecordBusy", "record_run", 3),
    ("RecordHungAndLost", "record_run", 3),
    ("NotRecordedWhileBusy", "record_run", 11),
    ("NotRecorded", "record_run", 1),
])  # fmt: skip
def test_a_throttled_function_is_called_again_and_a_failed_one_is_not(
    execute: Executor, case: str, function: str, calls: int
) -> None:
    assert len(execute(PIPELINE_MACHINE, case).payloads(function)) == calls


# Branches catch all their errors, and nothing can catch States.Runtime.
UNREACHABLE = {("AnalyzeAlignment", "RecordRun")}


def test_every_transition_of_the_state_machines_is_on_a_path(execute: Executor) -> None:
    for name, scopes in SCOPES.items():
        executions = [execute(name, case) for case in CASES[name]]
        taken = {pair for execution in executions for scope in scopes for pair in pairwise(execution.entered(scope))}
        assert taken == {pair for scope in scopes for pair in transitions(scope)} - UNREACHABLE


def transitions(scope: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, state in scope.items():
        for transition in (state, *state.get("Catch", []), *state.get("Choices", [])):
            if "Next" in transition:
                yield name, transition["Next"]
        if "Default" in state:
            yield name, state["Default"]


def test_a_job_that_is_not_placed_in_the_last_resort_queue_is_given_up() -> None:
    """The rehearsal refuses a case in which diagnose plans another try."""
    Rehearsal(Case({"align": [[SPOT_RECLAIMED], [NOT_PLACED]]})).pipeline()


def test_the_word_throttle_in_a_sample_id_is_not_a_failure() -> None:
    job = {**json.loads(SILENT.cause), "Parameters": {"sample": "Throttle-valve-7"}}
    cause = BatchCause.parse({"Error": SILENT.error, "Cause": json.dumps(job)})
    assert classify.classify(cause, None)[0] == "TOOL_FAILED"
