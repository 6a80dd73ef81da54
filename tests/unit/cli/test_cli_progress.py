"""Test seqdrop_cli.progress: the live table of `seqdrop run`, and what each step waits for."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from seqdrop_cli import progress
from seqdrop_cli.progress import Job, StepState
from seqdrop_cli.screen import Screen
from support import cli_aws

RUN = "0123456789abcdef0123"
STATES = [
    StepState("align", "running", 200.0, 2),
    StepState("call", "waiting"),
    StepState("annotate", "waiting"),
    StepState("collect", "waiting", queued="RUNNABLE", in_queue=185.0),
    StepState("compose", "waiting"),
]


def lines_of(states: list[StepState], rates: dict[str, str], width: int = 80, *, ended: bool = False) -> list[str]:
    """Return the lines of the live table, without the bars."""
    text = io.StringIO()
    Screen(file=text, width=width).print(progress.table(RUN, 3725.0, states, rates, embedded=False, ended=ended))
    lines = text.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    return [" ".join(line.replace("━", "").replace("╸", "").split()) for line in lines]


def test_the_table_has_the_overall_time_and_what_each_step_waits_for_in_80_columns() -> None:
    assert lines_of(STATES, {"align": "42.1M reads, 84.2k/s"}) == [
        "01234567 0 of 5 steps 1 h 02 min",
        "align running, try 2 3 min 20 s 42.1M reads, 84.2k/s",
        "call waiting for align",
        "annotate waiting for call",
        "collect waiting for an instance, 3 min 05 s",
        "compose waiting for call, annotate, collect",
    ]


def test_after_the_end_nothing_waits() -> None:
    states = [StepState("align", "failed", 4.0), StepState("call", "waiting")]
    assert lines_of(states, {}, ended=True) == ["01234567 0 of 2 steps 1 h 02 min", "align failed 4 s", "call not run"]


def test_a_single_step_has_no_heading() -> None:
    assert lines_of([StepState("prepare", "done", 7.0)], {}) == ["prepare done 7 s"]


@pytest.mark.parametrize(
    ("state", "embedded", "text"),
    [
        (StepState("call", "waiting", queued="STARTING", in_queue=8.0), False, "for its container, 8 s"),
        (StepState("call", "waiting", queued="RUNNABLE", in_queue=8.0), True, "for free CPUs, 8 s"),
        (StepState("call", "running", 8.0), False, ""),
        (StepState("polish", "waiting"), False, ""),
        (StepState("align", "waiting"), False, ""),
    ],
)
def test_a_step_says_what_it_waits_for(state: StepState, embedded: bool, text: str) -> None:
    assert progress.waits_for(state, [], embedded=embedded) == text


def test_done_steps_are_not_waited_for() -> None:
    assert progress.waits_for(StepState("compose", "waiting"), ["call", "collect"], embedded=False) == "for annotate"


@pytest.mark.parametrize("line", ["", "7", "[1]", "{}", '{"message": "done", "reads": 7}', '{"message": "progress"}'])
def test_other_lines_of_a_log_are_no_progress(line: str) -> None:
    assert progress.describe_progress(line) == ""


def test_the_rate_is_that_of_the_newest_line_of_a_running_job() -> None:
    with cli_aws.stack() as stack:
        stack.logs.create_log_group(logGroupName="/jobs")
        stack.logs.create_log_stream(logGroupName="/jobs", logStreamName="s")
        lines = [json.dumps({"message": "progress", "reads": n, "reads_per_second": 1_234}) for n in (10_000, 42_100)]
        now = round(time.time() * 1000)
        events: Any = [{"timestamp": now, "message": line} for line in [*lines, "[PE] mean"]]
        stack.logs.put_log_events(logGroupName="/jobs", logStreamName="s", logEvents=events)
        jobs = [Job("align", "j1", 1), Job("call", "j2", 1), Job("collect", "j3", 1)]
        details: Any = {
            "j1": {"status": "RUNNING", "container": {"logStreamName": "s"}},
            "j2": {"status": "RUNNING", "container": {"logStreamName": "none"}},
            "j3": {"status": "SUCCEEDED", "container": {"logStreamName": "s"}},
        }
        assert progress.read_rates(stack, jobs, details) == {"align": "42.1k reads, 1.23k/s"}
