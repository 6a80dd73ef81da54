from __future__ import annotations

import json
from typing import Any

import pytest
from seqdrop.plan import steps
from seqdrop.storage.uri import S3Uri
from seqdrop.text import format_seconds
from seqdrop_cli import follow
from seqdrop_cli.progress import Job, StepState

RUN = "0123"
Moment = tuple[str, list[tuple[str, str, str | None]]]  # status; step, job id, state of each job


class Pipeline:
    """Step Functions and Batch at one moment after the other."""

    is_embedded, pause = True, 0.0

    def __init__(self, *moments: Moment, reason: str = "") -> None:
        self._moments = iter(moments)
        self._reason = {"statusReason": reason} if reason else {}
        self.stepfunctions = self.batch = self

    def describe_execution(self, **_: str) -> dict[str, str]:
        status, self._jobs = next(self._moments)
        return {"status": status, "input": json.dumps({"steps": ["align", "call", "annotate"]})}

    def get_execution_history(self, nextToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803  name in boto3
        start = int(nextToken or 0)
        outputs = [{"JobName": f"{step}-{RUN}", "JobId": job} for step, job, _ in self._jobs]
        events = [{"taskSubmittedEventDetails": {"output": json.dumps(output)}} for output in outputs] or [{}]
        token = {"nextToken": str(start + 1)} if start + 1 < len(events) else {}
        return {"events": events[start : start + 1], **token}

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        states = {job: state for _, job, state in self._jobs}
        times = {"startedAt": 1_000, "stoppedAt": 9_000}
        return {"jobs": [{"jobId": job, "status": states[job], **times, **self._reason} for job in jobs if states[job]]}


def test_a_run_is_followed_to_its_end_with_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    pipeline: Any = Pipeline(
        ("RUNNING", []),
        ("RUNNING", [("align", "j1", "RUNNING")]),
        ("RUNNING", [("align", "j1", "RUNNING")]),
        ("RUNNING", [("align", "j1", "FAILED"), ("align", "j2", "RUNNABLE")]),
        ("SUCCEEDED", [("align", "j1", "FAILED"), ("align", "j2", "SUCCEEDED"), ("call", "j3", "SUCCEEDED")]),
    )
    status, states = follow.follow(pipeline, "arn", RUN)
    assert status == "SUCCEEDED"
    assert states == [
        StepState("align", "done", 8.0, 2),
        StepState("call", "done", 8.0),
        StepState("annotate", "waiting"),
    ]
    assert capsys.readouterr().out.splitlines() == [
        "align      running",
        "align      waiting, try 2",
        "align      done, try 2  8 s",
        "call       done  8 s",
    ]


def test_a_job_in_the_queue_has_the_state_and_the_reason_of_batch() -> None:
    pipeline: Any = Pipeline(("RUNNING", [("align", "j1", "RUNNABLE"), ("call", "j2", "RUNNING")]), reason="CAPACITY:X")
    pipeline.describe_execution()
    align, call = follow.step_states(pipeline, "arn", RUN, ())
    assert (align.state, align.queued, align.reason) == ("waiting", "RUNNABLE", "CAPACITY:X")
    assert (call.state, call.queued, call.reason) == ("running", "", "")


@pytest.mark.parametrize(("begun", "state"), [({"RUNNABLE": 2}, "waiting"), ({"RUNNABLE": 1, "RUNNING": 1}, "running")])
def test_an_array_job_runs_as_soon_as_a_child_has_begun(begun: dict[str, int], state: str) -> None:
    detail: Any = {"jobId": "j1", "status": "PENDING", "arrayProperties": {"size": 2, "statusSummary": begun}}
    [merge] = follow.states_of([Job("merge", "j1", 1)], {"j1": detail}, ())
    assert merge.state == state


def test_a_job_that_batch_has_deleted_is_shown_as_waiting() -> None:
    pipeline: Any = Pipeline(("RUNNING", [("align", "j1", None)]))
    pipeline.describe_execution()
    assert follow.step_states(pipeline, "arn", RUN, ()) == [StepState("align", "waiting")]


class FusedPipeline(Pipeline):
    """A run whose steps share one job, with the receipts that they have written."""

    def __init__(self, status: str, *receipts: str) -> None:
        super().__init__(*[("RUNNING", [("fused", "j1", status)])] * 2)
        self._receipts = receipts
        self.store = self

    def describe_execution(self, **names: str) -> dict[str, str]:
        description = super().describe_execution(**names)
        plan = {**json.loads(description["input"]), "form": "fused", "results": "s3://results/S/r"}
        return {**description, "input": json.dumps(plan)}

    def list_names(self, folder: S3Uri) -> list[str]:
        assert folder == S3Uri("results", "S/r/jobs")
        return [f"{step}.json" for step in self._receipts]


@pytest.mark.parametrize(
    ("status", "receipts", "states"),
    [
        ("RUNNABLE", (), ("waiting", "waiting", "waiting")),
        ("RUNNING", (), ("running", "waiting", "waiting")),
        ("RUNNING", ("align",), ("done", "running", "waiting")),
        ("FAILED", ("align", "annotate"), ("done", "failed", "done")),
        ("SUCCEEDED", ("align", "call", "annotate"), ("done", "done", "done")),
    ],
)
def test_steps_that_share_a_job_are_done_with_their_receipt(
    status: str, receipts: tuple[str, ...], states: tuple[str, ...]
) -> None:
    pipeline: Any = FusedPipeline(status, *receipts)
    pipeline.describe_execution()
    found = follow.step_states(pipeline, "arn", RUN, ("align", "call", "annotate"))
    assert [(state.step, state.state) for state in found] == list(
        zip(("align", "call", "annotate"), states, strict=True)
    )


@pytest.mark.parametrize(
    ("execution", "expected"),
    [
        ({"input": json.dumps({"steps": ["align", "polish"]})}, ("align", "polish")),
        ({"input": json.dumps({"fasta": "s3://b/k", "genes": "none"})}, ("prepare",)),
        ({"input": json.dumps({"steps": "align"})}, steps.names()),
        ({"input": "{}"}, steps.names()),
        ({"input": "[1]"}, steps.names()),
        ({"input": "not JSON"}, steps.names()),
        ({}, steps.names()),
        (None, steps.names()),
    ],
)
def test_the_steps_are_those_of_the_plan_else_those_of_the_table(
    execution: dict[str, str] | None, expected: tuple[str, ...]
) -> None:
    assert follow.plan_steps(execution) == expected


def test_durations_are_short() -> None:
    assert [format_seconds(value) for value in (7.6, 65, 7_800)] == ["8 s", "1 min 05 s", "2 h 10 min"]
