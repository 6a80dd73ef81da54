"""seqdrop.failure.verdict and seqdrop.runs.diagnosis, whatever Batch, Step Functions or a job may write."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqdrop.failure import advice, classify
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import Verdict
from seqdrop.runs import diagnosis
from support.batch_causes import CAUSES, load_cause

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other tests may need the machine
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
JUNK = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
REAL = [load_cause(path)[0] for path in CAUSES]
JOBS = [
    json.loads(load_cause(path)[0]["Cause"]) for path in CAUSES if not path.stem.startswith(("api_", "odd_", "state_"))
]


def real(number: int) -> dict[str, Any]:
    return REAL[number]


REALS = st.integers(0, len(REAL) - 1).map(real)
WORDS = ["JobId", "Attempts", "Container", "StatusReason", "IsTerminated", "IsCancelled"]
CONTAINER_WORDS = ["ExitCode", "Reason", "LogStreamName", "LogConfiguration"]


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A real description of a job in which one value is something else."""
    job = copy.deepcopy(JOBS[draw(st.integers(0, len(JOBS) - 1))])
    places = [job, job["Container"], *job["Attempts"], *(attempt["Container"] for attempt in job["Attempts"])]
    draw(st.sampled_from(places))[draw(st.sampled_from(WORDS + CONTAINER_WORDS))] = draw(JUNK)
    text = json.dumps(job)
    return text[: draw(st.sampled_from([len(text), len(text) // 2, -1]))]


TEXTS = spoilt() | JUNK.map(json.dumps) | st.text()
ERRORS = REALS | TEXTS.map(lambda cause: {"Error": "States.TaskFailed", "Cause": cause}) | JUNK
CLASSES = st.sampled_from([*sorted(advice.ADVICE), "BAD_INPUT.NEW"])
VERDICTS = st.builds(
    Verdict,
    CLASSES,
    st.text(),
    stderr_tail=st.lists(st.text(), max_size=30).map(tuple),
    exit_code=st.integers(),
    job_id=st.just("j"),
)
MAYBE_VERDICTS = st.none() | st.none() | VERDICTS  # most of the time, Batch's own words decide
PLAN = {
    "sample": "S",
    "results": "s3://results/S/r",
    "align": {"job_queue": "q", "vcpus": "2", "memory": "2", "attempt": "1"},
    "call": {"job_queue": "spot", "vcpus": "4", "memory": "2048", "attempt": "1", "args": "[]"},
}


def known(failure_class: str) -> bool:
    return failure_class in advice.ADVICE or failure_class.startswith("BAD_INPUT.")


@RELAXED
@given(ERRORS, MAYBE_VERDICTS)
def test_whatever_is_said_of_a_job_it_has_a_class_a_sentence_and_an_advice(error: Any, verdict: Verdict | None) -> None:
    failure_class, message = classify.classify(BatchCause.parse(error), verdict)
    assert known(failure_class)
    assert advice.get(failure_class, "call")
    assert len(message) <= classify.MAX_MESSAGE
    assert message.isprintable()


@RELAXED
@given(VERDICTS, st.sampled_from(["class", "message", "tool", "stderr_tail", "exit_code", "job_id"]), JUNK)
def test_what_is_read_as_a_verdict_is_one(written: Verdict, word: str, junk: Any) -> None:
    try:
        verdict = Verdict.from_json({**written.to_json(), "stderr_tail": list(written.stderr_tail), word: junk})
    except ValueError:
        return
    assert known(verdict.failure_class)
    assert isinstance(verdict.message, str)
    assert all(isinstance(line, str) for line in verdict.stderr_tail)


@RELAXED
@given(
    st.lists(st.tuples(REALS | ERRORS, MAYBE_VERDICTS), min_size=4, max_size=5),
    st.sampled_from(["", "64"]),
)
def test_the_tries_of_a_step_are_bounded_and_each_is_understood(
    failures: list[tuple[Any, Verdict | None]], whole_instance: str
) -> None:
    plan: dict[str, Any] = PLAN
    tried = 0
    for error, verdict in failures:
        before = plan["call"]
        plan = diagnosis.diagnose({**plan, "call": {**before, "error": error}}, "call", verdict, "last", whole_instance)
        tried += 1
        job, failed = plan["call"], plan["call"]["failures"][-1]
        assert len(job["failures"]) == tried
        cured = [earlier["class"] for earlier in job["failures"] if "then" in earlier]
        assert len(set(cured)) == len(cured)  # each cure once
        assert known(failed["class"])
        assert "error" not in job
        if plan["next"] == diagnosis.GIVE_UP:
            assert job["attempt"] == before["attempt"]
            assert job["gave_up"]["advice"]
            break
        assert plan["next"] == "CallVariants"
        assert int(job["attempt"]) == int(before["attempt"]) + 1
        assert not failed["class"].startswith("BAD_INPUT")
        assert failed["class"] not in {"REFERENCE", "STOPPED", "TIMEOUT", "TOOL_FAILED", "INTERNAL"}
    assert tried <= diagnosis.MOST_TRIES
    assert plan["call"]["memory"] in {"2048", "4096"}
    assert {name: plan[name] for name in PLAN if name != "call"} == {
        name: value for name, value in PLAN.items() if name != "call"
    }
    # All five steps at their worst are far below what an execution may carry.
    assert len(json.dumps(plan["call"])) < 256 * 1024 / 10
