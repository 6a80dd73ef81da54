"""Every path through the state machines, with one mock file: on the embedded AWS, or with --sfn-endpoint elsewhere."""

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
from support.paths.cases import DONE, JOBS, NOT_PLACED, PIPELINE, PREPARATION, SILENT, SPOT_RECLAIMED, STEPS, Case
from support.paths.engine import Walk
from support.paths.make import (
    DOCTORS,
    FILE,
    LAST_RESORT,
    PIPELINE_MACHINE,
    PLAN,
    PREPARATION_INPUT,
    PREPARATION_MACHINE,
    WHOLE_INSTANCE,
    Rehearsal,
    invoked,
    recorded,
    text,
)
from support.paths.routes import (
    AGAIN,
    CAUSES,
    CURED,
    FINAL,
    GAVE_UP,
    GAVE_UP_LATER,
    GOOD,
    GOOD_PREPARATION,
    NOT_DIAGNOSED,
    OTHERS,
    TOO_LITTLE_MEMORY,
    TWICE_THE_MEMORY,
    UNDIAGNOSED,
    Route,
    Submission,
    first,
    second,
)
from support.pipeline_parts import ROOT, machine, states

from functions.diagnose.app import failed_step

PIPELINE_STATES = machine("pipeline")["States"]
VARIANT_STATES, STAT_STATES = (branch["States"] for branch in PIPELINE_STATES["AnalyzeAlignment"]["Branches"])
PREPARATION_STATES = machine("prepare_reference")["States"]
EVERY_CASE = [(PIPELINE_MACHINE, case) for case in PIPELINE] + [(PREPARATION_MACHINE, case) for case in PREPARATION]
Walker = Callable[[str, str], Walk]
AHEAD = 8  # executions at once: the next cases run while a test waits for its own


@pytest.fixture(scope="module")
def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walker]:
    """Each case is executed once, and looked at by several tests."""
    inputs = {PIPELINE_MACHINE: PLAN, PREPARATION_MACHINE: PREPARATION_INPUT}

    def walker(running: engine.Engine) -> Walker:
        start = cache(lambda name, case: running.start(name, case, inputs[name]))

        @cache
        def walk(name: str, case: str) -> Walk:
            place = EVERY_CASE.index((name, case))
            for following in EVERY_CASE[place : place + AHEAD]:
                start(*following)
            return running.walk(start(name, case))

        return walk

    if endpoint := request.config.getoption("--sfn-endpoint"):
        yield walker(engine.at(endpoint))
        return
    with engine.embedded(tmp_path_factory.mktemp("paths")) as running:
        yield walker(running)


def route(walked: Walk) -> Route:
    top = {**PIPELINE_STATES, **PREPARATION_STATES}
    return Route(*(" ".join(walked.entered(scope)) for scope in (top, VARIANT_STATES, STAT_STATES)))


def of_step(walk: Walker, step: str, name: str) -> Walk:
    return walk(PREPARATION_MACHINE if step == "prepare" else PIPELINE_MACHINE, step.title() + name)


def test_the_mock_file_says_what_the_functions_would_answer() -> None:
    assert FILE.read_text() == text(), "run `make mocks`"


def test_the_mock_file_has_the_form_that_step_functions_local_reads() -> None:
    config = json.loads(FILE.read_text())
    named = set()
    for name, by_case in config["StateMachines"].items():
        tasks = {state for state, it in states(machine(engine.DEFINITIONS[name])) if it["Type"] == "Task"}
        for case, answers in by_case["TestCases"].items():
            assert case.isalnum(), "it becomes part of an ARN"
            assert answers.keys() <= tasks
            named |= set(answers.values())
    assert named == config["MockedResponses"].keys()
    for name, answers in config["MockedResponses"].items():
        assert {word for answer in answers.values() for word in answer} <= {"Return", "Throw"}, name
        ranges = [[int(number) for number in key.split("-")] for key in answers]
        assert [numbers[0] for numbers in ranges] == [0, *(numbers[-1] + 1 for numbers in ranges[:-1])], name


def test_the_compose_file_gives_step_functions_local_this_very_mock_file() -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["stepfunctions"]
    [volume] = service["volumes"]
    assert ROOT / volume["source"] == FILE
    assert service["environment"]["SFN_MOCK_CONFIG"] == volume["target"]
    assert service["ports"] == ["127.0.0.1:8083:8083"]


@pytest.mark.parametrize(("name", "case"), EVERY_CASE, ids=[f"{name}-{case}" for name, case in EVERY_CASE])
def test_what_is_mocked_is_what_the_functions_say_to_what_the_machine_sends(walk: Walker, name: str, case: str) -> None:
    walked = walk(name, case)
    said = (PIPELINE if name == PIPELINE_MACHINE else PREPARATION)[case]
    faults = [fault for tries in said.jobs.values() for calls in tries for fault in calls if fault is not DONE]
    verdicts = {fault.cause: fault.verdict for fault in faults}
    asked: dict[str, list[Any]] = {}
    for plan in walked.payloads("diagnose"):
        step = failed_step(plan)
        answer = diagnosis.diagnose(plan, step, verdicts[plan[step]["error"]["Cause"]], LAST_RESORT, WHOLE_INSTANCE)
        asked.setdefault(DOCTORS[step], []).append(invoked(answer))
    for given in walked.payloads("record_run"):
        asked.setdefault("RecordRun", []).append(recorded(given["plan"]))
    for state in (*dict.fromkeys(DOCTORS.values()), "RecordRun"):
        mocked = mocked_answers(name, case, state)
        honest = [
            answer if "Return" in mock else None for answer, mock in zip(asked.get(state, []), mocked, strict=True)
        ]
        assert [mock.get("Return") for mock in mocked] == honest


@cache
def mock_file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def mocked_answers(name: str, case: str, state: str) -> list[dict[str, Any]]:
    """One for each call of a state."""
    config = mock_file()
    response = config["StateMachines"][name]["TestCases"][case].get(state)
    found = []
    for key, answer in config["MockedResponses"].get(response, {}).items():
        start, _, end = key.partition("-")
        found += [answer] * (int(end or start) - int(start) + 1)
    return found


def test_all_goes_well(walk: Walker) -> None:
    walked = walk(PIPELINE_MACHINE, "HappyPath")
    assert (walked.ending, route(walked)) == (("SUCCEEDED",), GOOD)
    assert walked.record == {"status": "SUCCEEDED", "class": "", "cause": ""}
    assert {step: walked.submitted(step) for step in STEPS[:-1]} == {step: [first(step)] for step in STEPS[:-1]}


def test_a_reference_is_prepared(walk: Walker) -> None:
    walked = walk(PREPARATION_MACHINE, "HappyPath")
    assert (walked.ending, route(walked)) == (("SUCCEEDED",), GOOD_PREPARATION)
    assert walked.submitted("prepare") == [first("prepare")]


def test_every_mishap_of_a_job_has_its_expectation() -> None:
    assert JOBS.keys() == FINAL.keys() | CURED.keys() | {"OutOfMemoryTwice"}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", FINAL)
def test_what_no_second_try_can_help_ends_with_its_class_and_sentence(walk: Walker, step: str, name: str) -> None:
    walked = of_step(walk, step, name)
    failure_class, sentence, submissions = FINAL[name]
    assert (walked.ending, route(walked)) == (("FAILED", failure_class, sentence), GAVE_UP[step])
    assert walked.submitted(step) == [first(step)] * submissions
    if step != "prepare":
        status = {"collect": "INCOMPLETE", "compose": "INCOMPLETE"}.get(step, "FAILED")
        assert walked.record == {"status": status, "class": failure_class, "cause": walked.ended["cause"]}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", CURED)
def test_what_can_be_cured_is_tried_again_with_the_cure(walk: Walker, step: str, name: str) -> None:
    walked = of_step(walk, step, name)
    times, change = CURED[name]
    without_doctor = GOOD_PREPARATION if step == "prepare" else GOOD
    assert (walked.ending, route(walked)) == (("SUCCEEDED",), AGAIN[step] if change else without_doctor)
    again = [second(step, **change(step))] if change else []
    assert walked.submitted(step) == [first(step)] * times + again


@pytest.mark.parametrize("step", STEPS)
def test_memory_is_doubled_once(walk: Walker, step: str) -> None:
    walked = of_step(walk, step, "OutOfMemoryTwice")
    assert (walked.ending, route(walked)) == (("FAILED", "OUT_OF_MEMORY", TOO_LITTLE_MEMORY), GAVE_UP_LATER[step])
    assert walked.submitted(step) == [first(step), second(step, memory=TWICE_THE_MEMORY[step])]


@pytest.mark.parametrize(("step", "name"), CAUSES)
def test_the_cause_says_all_there_is_to_say(walk: Walker, step: str, name: str) -> None:
    assert of_step(walk, step, name).ended["cause"].split("\n") == CAUSES[step, name]


@pytest.mark.parametrize("step", STEPS)
def test_a_doctor_who_fails_ends_the_step_not_the_record(walk: Walker, step: str) -> None:
    walked = of_step(walk, step, "Undiagnosed")
    sentence = "The job failed and the function diagnose did too; see its log." if step == "prepare" else NOT_DIAGNOSED
    assert (walked.ending, route(walked)) == (("FAILED", "INTERNAL", sentence), UNDIAGNOSED[step])
    if step != "prepare":
        status = {"collect": "INCOMPLETE", "compose": "INCOMPLETE"}.get(step, "FAILED")
        assert walked.record == {"status": status, "class": "INTERNAL", "cause": walked.ended["cause"]}


def test_every_case_has_its_expectation() -> None:
    of_steps = {step.title() + name for step in STEPS for name in (*JOBS, "Undiagnosed")}
    assert PIPELINE.keys() - of_steps == OTHERS.keys() | {"HappyPath"}
    assert PREPARATION.keys() - of_steps == {"HappyPath", "DoctorBusy"}


@pytest.mark.parametrize("case", OTHERS)
def test_several_things_happen_to_one_run(walk: Walker, case: str) -> None:
    walked = walk(PIPELINE_MACHINE, case)
    assert (walked.ending, route(walked)) == OTHERS[case]


def test_a_reference_is_prepared_though_the_doctor_is_busy(walk: Walker) -> None:
    walked = walk(PREPARATION_MACHINE, "DoctorBusy")
    assert (walked.ending, route(walked)) == (("SUCCEEDED",), AGAIN["prepare"])
    assert len(walked.payloads("diagnose")) == 3


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
def test_each_cure_is_added_to_those_before(walk: Walker, case: str, submissions: list[Submission]) -> None:
    assert walk(PIPELINE_MACHINE, case).submitted("align") == submissions


def test_of_two_failures_the_one_that_costs_the_variants_is_reported(walk: Walker) -> None:
    assert walk(PIPELINE_MACHINE, "BothBranchesGiveUp").record["status"] == "FAILED"
    assert walk(PIPELINE_MACHINE, "StatsAndReportGiveUp").record["status"] == "INCOMPLETE"


@pytest.mark.parametrize(("case", "function", "calls"), [
    ("DoctorBusy", "diagnose", 3),
    ("DoctorHungAndLost", "diagnose", 3),
    ("DoctorBusyForGood", "diagnose", 11),
    ("RecordBusy", "record_run", 3),
    ("RecordHungAndLost", "record_run", 3),
    ("NotRecordedWhileBusy", "record_run", 11),
    ("NotRecorded", "record_run", 1),
])  # fmt: skip
def test_a_busy_function_is_called_again_and_a_broken_one_is_not(
    walk: Walker, case: str, function: str, calls: int
) -> None:
    assert len(walk(PIPELINE_MACHINE, case).payloads(function)) == calls


# No error comes out of a branch, and what nothing can catch (States.Runtime) is not caught here either.
UNREACHABLE = {("AnalyzeAlignment", "RecordRun")}


def test_every_transition_of_the_machines_is_on_a_path(walk: Walker) -> None:
    scopes = (PIPELINE_STATES, VARIANT_STATES, STAT_STATES, PREPARATION_STATES)
    walked = {
        pair for name, case in EVERY_CASE for scope in scopes for pair in pairwise(walk(name, case).entered(scope))
    }
    assert walked == {pair for scope in scopes for pair in transitions(scope)} - UNREACHABLE


def transitions(scope: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, state in scope.items():
        for way in (state, *state.get("Catch", []), *state.get("Choices", [])):
            if "Next" in way:
                yield name, way["Next"]
        if "Default" in state:
            yield name, state["Default"]


def test_a_job_not_placed_in_the_last_resort_is_given_up() -> None:
    """doctor._cure: the rehearsal refuses a case in which the doctor wants one try more."""
    Rehearsal(Case({"align": [[SPOT_RECLAIMED], [NOT_PLACED]]})).pipeline()


def test_a_sample_called_throttle_is_not_throttled() -> None:
    job = {**json.loads(SILENT.cause), "Parameters": {"sample": "Throttle-valve-7"}}
    ending = BatchCause.parse({"Error": SILENT.error, "Cause": json.dumps(job)})
    assert classify.classify(ending, None)[0] == "TOOL_FAILED"
