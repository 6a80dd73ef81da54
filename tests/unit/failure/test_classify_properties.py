"""Test seqdrop.failure and seqdrop.runs.diagnosis with arbitrary output of Batch, Step Functions and jobs."""

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

# No time limits: other tests may use the same processors.
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
JUNK = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
REAL = [load_cause(path)[0] for path in CAUSES]
JOBS = [
    json.loads(load_cause(path)[0]["Cause"]) for path in CAUSES if not path.stem.startswith(("api_", "odd_", "state_"))
]


def real_error(number: int) -> dict[str, Any]:
    return REAL[number]


REAL_ERRORS = st.integers(0, len(REAL) - 1).map(real_error)
FIELDS = ["JobId", "Attempts", "Container", "StatusReason", "IsTerminated", "IsCancelled"]
CONTAINER_FIELDS = ["ExitCode", "Reason", "LogStreamName", "LogConfiguration"]


@st.composite
def corrupt_jobs(draw: st.DrawFn) -> str:
    """Generate a real description of a job with one field replaced by an arbitrary value."""
    job = copy.deepcopy(JOBS[draw(st.integers(0, len(JOBS) - 1))])
    places = [job, job["Container"], *job["Attempts"], *(attempt["Container"] for attempt in job["Attempts"])]
    draw(st.sampled_from(places))[draw(st.sampled_from(FIELDS + CONTAINER_FIELDS))] = draw(JUNK)
    text = json.dumps(job)
    return text[: draw(st.sampled_from([len(text), len(text) // 2, -1]))]


TEXTS = corrupt_jobs() | JUNK.map(json.dumps) | st.text()
ERRORS = REAL_ERRORS | TEXTS.map(lambda cause: {"Error": "States.TaskFailed", "Cause": cause}) | JUNK
CLASSES = st.sampled_from([*sorted(advice.ADVICE), "BAD_INPUT.NEW"])
VERDICTS = st.builds(
    Verdict,
    CLASSES,
    st.text(),
    stderr_tail=st.lists(st.text(), max_size=30).map(tuple),
    exit_code=st.integers(),
    job_id=st.just("j"),
)
MAYBE_VERDICTS = st.none() | st.none() | VERDICTS  # mostly without a verdict, so that Batch's description decides
PLAN = {
    "sample": "S",
    "results": "s3://results/S/r",
    "align": {"job_queue": "q", "vcpus": "2", "memory": "2", "attempt": "1"},
    "call": {"job_queue": "spot", "vcpus": "4", "memory": "2048", "attempt": "1", "args": "[]"},
}


def is_known(failure_class: str) -> bool:
    return failure_class in advice.ADVICE or failure_class.startswith("BAD_INPUT.")


@RELAXED
@given(ERRORS, MAYBE_VERDICTS)
def test_every_error_has_a_class_a_message_and_advice(error: Any, verdict: Verdict | None) -> None:
    failure_class, message = classify.classify(BatchCause.parse(error), verdict)
    assert is_known(failure_class)
    assert advice.get(failure_class, "call")
    assert len(message) <= classify.MAX_MESSAGE
    assert message.isprintable()


@RELAXED
@given(VERDICTS, st.sampled_from(["class", "message", "tool", "stderr_tail", "exit_code", "job_id"]), JUNK)
def test_every_parsed_verdict_is_valid(original: Verdict, field: str, junk: Any) -> None:
    try:
        verdict = Verdict.from_json({**original.to_json(), "stderr_tail": list(original.stderr_tail), field: junk})
    except ValueError:
        return
    assert is_known(verdict.failure_class)
    assert isinstance(verdict.message, str)
    assert all(isinstance(line, str) for line in verdict.stderr_tail)


@RELAXED
@given(
    st.lists(st.tuples(REAL_ERRORS | ERRORS, MAYBE_VERDICTS), min_size=4, max_size=5),
    st.sampled_from(["", "64"]),
)
def test_the_retries_of_a_step_are_bounded_and_every_failure_has_a_class(
    failures: list[tuple[Any, Verdict | None]], whole_instance: str
) -> None:
    plan: dict[str, Any] = PLAN
    tries = 0
    for error, verdict in failures:
        before = plan["call"]
        plan = diagnosis.diagnose({**plan, "call": {**before, "error": error}}, "call", verdict, "last", whole_instance)
        tries += 1
        job, failed = plan["call"], plan["call"]["failures"][-1]
        assert len(job["failures"]) == tries
        cures = [earlier["class"] for earlier in job["failures"] if "then" in earlier]
        assert len(set(cures)) == len(cures)  # every cure is tried once
        assert is_known(failed["class"])
        assert "error" not in job
        if plan["next"] == diagnosis.GIVE_UP:
            assert job["attempt"] == before["attempt"]
            assert job["gave_up"]["advice"]
            break
        assert plan["next"] == "CallVariants"
        assert int(job["attempt"]) == int(before["attempt"]) + 1
        assert not failed["class"].startswith("BAD_INPUT")
        assert failed["class"] not in {"REFERENCE", "STOPPED", "TIMEOUT", "TOOL_FAILED", "INTERNAL"}
    assert tries <= diagnosis.MAX_TRIES
    assert plan["call"]["memory"] in {"2048", "4096"}
    assert {name: plan[name] for name in PLAN if name != "call"} == {
        name: value for name, value in PLAN.items() if name != "call"
    }
    # The largest failures of all five steps are far smaller than the payload limit of an execution.
    assert len(json.dumps(plan["call"])) < 256 * 1024 / 10
