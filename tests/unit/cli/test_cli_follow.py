import json
from types import SimpleNamespace

from seqdrop_cli import follow
from seqdrop_cli.follow import Line
from seqdrop_cli.screen import seconds

RUN = "0123"


class Pipeline:
    """Step Functions and Batch as the follower sees them: one more look, one more thing has happened."""

    is_embedded, pause = True, 0.0

    def __init__(self, *moments):
        self._moments = iter(moments)
        self.stepfunctions = self.batch = self

    def describe_execution(self, **_):
        self.status, self._jobs = next(self._moments)
        return {"status": self.status}

    def get_execution_history(self, nextToken="", **_):  # noqa: N803
        at = int(nextToken or 0)
        outputs = [{"JobName": f"{step}-{RUN}", "JobId": job} for step, job, _ in self._jobs]
        events = [{"taskSubmittedEventDetails": {"output": json.dumps(output)}} for output in outputs] or [{}]
        return {"events": events[at : at + 1], **({"nextToken": str(at + 1)} if at + 1 < len(events) else {})}

    def describe_jobs(self, jobs):
        states = {job: state for _, job, state in self._jobs}
        times = {"startedAt": 1_000, "stoppedAt": 9_000}
        return {"jobs": [{"jobId": job, "status": states[job], **times} for job in jobs if states[job]]}


def test_a_run_is_followed_to_its_end_a_line_a_change(capsys):
    pipeline = Pipeline(
        ("RUNNING", []),
        ("RUNNING", [("align", "j1", "RUNNING")]),
        ("RUNNING", [("align", "j1", "RUNNING")]),
        ("RUNNING", [("align", "j1", "FAILED"), ("align", "j2", "RUNNABLE")]),
        ("SUCCEEDED", [("align", "j1", "FAILED"), ("align", "j2", "SUCCEEDED"), ("call", "j3", "SUCCEEDED")]),
    )
    status, shown = follow.follow(pipeline, "arn", RUN, ("align", "call", "annotate"))
    assert status == "SUCCEEDED"
    assert shown == [Line("align", "done", 8.0, 2), Line("call", "done", 8.0), Line("annotate", "waiting")]
    assert capsys.readouterr().out.splitlines() == [
        "align      running",
        "align      waiting, try 2",
        "align      done, try 2  8 s",
        "call       done  8 s",
    ]


def test_a_job_that_batch_has_forgotten_is_waiting():
    pipeline = Pipeline(("RUNNING", [("align", "j1", None)]))
    pipeline.describe_execution()
    assert follow.lines(pipeline, "arn", RUN, ()) == [Line("align", "waiting")]


def test_after_ctrl_c_the_sentence_names_the_commands_for_that_stack():
    told = follow.stopped_following(SimpleNamespace(option=" --stack prod"), RUN)
    assert told.code == 130
    assert f"seqdrop stop {RUN} --stack prod" in str(told)


def test_seconds_are_written_for_a_person():
    assert [seconds(value) for value in (7.6, 65, 7_800)] == ["8 s", "1 min 05 s", "2 h 10 min"]
