import json

import cli_aws
import pytest
from seqdrop_cli import app as commands
from seqdrop_cli import runs
from seqdrop_cli.app import app
from typer.testing import CliRunner

FAILED = {
    "run": cli_aws.RUN,
    "sample": "S1",
    "status": "FAILED",
    "execution": f"{cli_aws.MACHINE.replace(':stateMachine:', ':execution:')}:{cli_aws.RUN}",
    "started": "2026-03-01T10:00:00+00:00",
    "finished": "2026-03-01T10:03:05+00:00",
    "results": cli_aws.RESULTS,
    "step": "align",
    "class": "BAD_INPUT.TRUNCATED",
    "message": "R2 ends in the middle of a record.",
    "advice": "Copy the file again.",
}
OLDER = {"run": "01ffffffffffffffffff", "sample": "S0", "status": "SUCCEEDED", "started": "2026-02-01T10:00:00+00:00"}


@pytest.fixture
def seqdrop(monkeypatch):
    """The command line on a stack with two runs; answers (exit code, output)."""
    with cli_aws.stack() as stack:
        monkeypatch.setattr(commands, "open_stack", lambda *_: stack)
        for row in (OLDER, FAILED):
            stack.table.put_item(Item=row)
        stack.s3.put_object(
            Bucket="results",
            Key=f"S1/{cli_aws.RUN}/failures/align.1.1.json",
            Body=json.dumps({"class": "X", "tool": "bwa", "exit_code": 65, "stderr_tail": "[E::bad] gzip"}),
        )

        def call(*words):
            done = CliRunner().invoke(app, list(words))
            return done.exit_code, done.output

        yield call


def test_status_lists_the_newest_run_first(seqdrop):
    code, output = seqdrop("status")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()[1:3]] == [FAILED["run"], OLDER["run"]]
    assert "3 min 05 s" in output


def test_status_json_is_what_the_table_holds(seqdrop):
    assert json.loads(seqdrop("status", "--json")[1]) == [FAILED, OLDER]
    assert json.loads(seqdrop("status", "latest", "--json")[1]) == FAILED


def test_a_beginning_that_only_one_run_has_is_enough(seqdrop):
    assert OLDER["run"] in seqdrop("status", "01f")[1]


def test_a_beginning_that_two_runs_have_names_both(seqdrop):
    code, output = seqdrop("status", "01")
    assert code == 1
    assert OLDER["run"] in output
    assert FAILED["run"] in output


def test_an_unknown_run_is_a_sentence(seqdrop):
    code, output = seqdrop("why", "zzz")
    assert (code, output) == (1, "No run zzz in stack seqdrop: `seqdrop status --stack seqdrop` lists them.\n")


def test_why_prints_class_sentence_advice_and_the_last_the_tool_said(seqdrop):
    code, output = seqdrop("why", cli_aws.RUN)
    assert code == 0
    assert output.splitlines() == [
        "BAD_INPUT.TRUNCATED in align",
        "R2 ends in the middle of a record.",
        "Copy the file again.",
        "",
        "The last that bwa (exit code 65) said:",
        "[E::bad] gzip",
        "",
        f"Its logs: seqdrop logs {cli_aws.RUN} align --stack seqdrop",
    ]


def test_why_of_a_good_run_says_that_nothing_failed(seqdrop):
    assert seqdrop("why", "01f")[1] == f"Run {OLDER['run']} is succeeded: nothing failed in it.\n"


def test_a_run_refused_before_it_started_cannot_be_stopped(seqdrop):
    code, output = seqdrop("stop", "01f")
    assert code == 1
    assert "started no execution" in output


def test_logs_know_the_steps_there_are(seqdrop):
    code, output = seqdrop("logs", cli_aws.RUN, "sort")
    assert code == 1
    assert "align, call, annotate, collect, compose" in output


def test_the_execution_of_a_run_is_named_after_it():
    with cli_aws.stack() as stack:
        assert runs.execution_arn(stack, cli_aws.RUN) == FAILED["execution"]
