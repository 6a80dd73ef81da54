import json

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop_cli import app as commands
from seqdrop_cli import runs, why
from seqdrop_cli.app import app
from seqdrop_cli.follow import Line
from seqdrop_cli.stack import Stack
from support import cli_aws
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
    "advice": "Copy the file again, then `seqdrop resume RUN`.",
    "tried": ["align, try 1: SPOT_RECLAIMED: Taken.; then: on-demand instances only"],
    "tool_lines": ["[E::bad] gzip"],
    "log": "/jobs bwa/default/7c1f",
}
OLDER = {"run": "01ffffffffffffffffff", "sample": "S0", "status": "SUCCEEDED", "started": "2026-02-01T10:00:00+00:00"}


def verdict(failure_class, message, *tail):
    return Verdict(failure_class, message, "bwa", 65, tail or ("[E::bad] \x1b[31mgzip\x1b[0m",), 7, "j")


@pytest.fixture
def stack():
    with cli_aws.stack() as found:
        yield found


@pytest.fixture
def seqdrop(monkeypatch, stack):
    """The command line on a stack with two runs; answers (exit code, output)."""
    monkeypatch.setattr(commands, "open_stack", lambda *_: stack)
    for row in (OLDER, FAILED):
        stack.table.put_item(Item=row)
    stack.s3.put_object(
        Bucket="results",
        Key=f"S1/{cli_aws.RUN}/failures/align.1.1.json",
        Body=json.dumps(verdict("BAD_INPUT.TRUNCATED", "R2 ends in the middle of a record.").to_json()),
    )

    def call(*words):
        done = CliRunner().invoke(app, list(words))
        return done.exit_code, done.output

    return call


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


def test_why_prints_class_sentence_advice_what_was_tried_and_the_last_the_tool_said(seqdrop):
    code, output = seqdrop("why", cli_aws.RUN)
    assert code == 0
    assert output.splitlines() == [
        "BAD_INPUT.TRUNCATED in align",
        "R2 ends in the middle of a record.",
        f"Copy the file again, then `seqdrop resume {cli_aws.RUN} --stack seqdrop`.",
        "",
        "Tried:",
        "  align, try 1: SPOT_RECLAIMED: Taken.; then: on-demand instances only",
        "",
        "The last that bwa said:",
        "[E::bad] gzip",
        "",
        "Its log stream: /jobs bwa/default/7c1f",
        "",
        f"Its logs: seqdrop logs {cli_aws.RUN} align --stack seqdrop",
    ]


def say_why(seqdrop, stack, **row):
    stack.table.put_item(Item={"run": "7" * 20, "sample": "S7", "started": "2026-03-02T10:00:00Z", **row})
    code, output = seqdrop("why", "777")
    assert code == 0
    return output.splitlines()


def test_why_of_a_run_whose_verdict_is_gone_shows_what_the_row_kept(seqdrop, stack):
    assert say_why(seqdrop, stack, status="FAILED", **{
        "class": "TOOL_FAILED", "message": "It failed.", "advice": "Look.", "step": "call", "tool_lines": ["[E] no"],
    }) == ["TOOL_FAILED in call", "It failed.", "Look.", "", "The last that call said:", "[E] no", "",
           "Nothing was started."]  # fmt: skip


def test_why_passes_over_a_verdict_that_cannot_be_read_and_names_one_of_another_class(seqdrop, stack):
    folder = "S1/" + "7" * 20 + "/failures"
    earlier = verdict("OUT_OF_MEMORY", "bwa was killed.").to_json()
    stack.s3.put_object(Bucket="results", Key=f"{folder}/align.1.1.json", Body=json.dumps(earlier))
    stack.s3.put_object(Bucket="results", Key=f"{folder}/align.2.1.json", Body=b"\xff{")
    shown = say_why(seqdrop, stack, status="FAILED", results="s3://results/S1/" + "7" * 20, step="align",
                    message="Too long.", **{"class": "TIMEOUT"})  # fmt: skip
    assert shown[:2] == ["TIMEOUT in align", "Too long."]
    assert shown[3:5] == ["Failed before:", "  align, try 1: OUT_OF_MEMORY: bwa was killed."]


def test_why_of_reads_that_wait_says_what_is_missing(seqdrop, stack):
    assert say_why(seqdrop, stack, status="WAITING", message="waits until both are there: a and b") == [
        "Waits until both are there: a and b. Since 2026-03-02 10:00.",
        "Upload what is missing; after two weeks what waits is forgotten.",
    ]


def test_why_of_refused_reads_says_that_nothing_was_started(seqdrop, stack):
    assert say_why(seqdrop, stack, status="FAILED", message="hg99 is not prepared.", advice="Prepare it.",
                   **{"class": "REFERENCE"}) == [
        "REFERENCE", "hg99 is not prepared.", "Prepare it.", "", "Nothing was started.",
    ]  # fmt: skip


def test_why_of_a_stopped_run_names_the_command_that_goes_on(seqdrop, stack):
    shown = say_why(seqdrop, stack, status="ABORTED", execution=FAILED["execution"], message="The run was stopped.",
                    advice="Somebody stopped it: `seqdrop resume RUN` to go on.", **{"class": "STOPPED"})  # fmt: skip
    assert shown[:3] == [
        "STOPPED",
        "The run was stopped.",
        f"Somebody stopped it: `seqdrop resume {'7' * 20} --stack seqdrop` to go on.",
    ]
    assert shown[-1] == f"Its logs: seqdrop logs {'7' * 20} --stack seqdrop"


def test_why_of_a_run_that_never_began_names_the_command_that_starts_it(seqdrop, stack):
    shown = say_why(seqdrop, stack, status="RUNNING", execution=FAILED["execution"])
    assert shown == [
        f"Run {'7' * 20} has not begun: if this does not change, `seqdrop resume {'7' * 20} --stack seqdrop`."
    ]


def test_why_of_a_running_run_says_what_it_does_and_what_failed_so_far(seqdrop, stack, monkeypatch):
    monkeypatch.setattr(Stack, "status_of", lambda *_: "RUNNING")
    monkeypatch.setattr(why, "lines", lambda *_: [Line("align", "running", 65, 2), Line("call", "waiting")])
    stack.s3.put_object(
        Bucket="results",
        Key="S1/7/failures/align.1.1.json",
        Body=json.dumps(verdict("OUT_OF_MEMORY", "bwa was killed.").to_json()),
    )
    assert say_why(seqdrop, stack, status="RUNNING", execution="arn", results="s3://results/S1/7") == [
        f"Run {'7' * 20} is running.",
        "  align      running, try 2  1 min 05 s",
        "",
        "Failed so far, and tried again:",
        "  align, try 1: OUT_OF_MEMORY: bwa was killed.",
    ]


def test_why_of_a_good_run_says_what_was_tried_and_what_its_jobs_warn_of(seqdrop, stack):
    assert seqdrop("why", "01f")[1] == f"Run {OLDER['run']} succeeded: nothing is missing in it.\n"
    manifest = {"warnings": [{"step": "align", "warning": "DUPLICATE_NAMES", "message": "12 names come twice."}]}
    stack.s3.put_object(Bucket="results", Key="S1/7/manifest.json", Body=json.dumps(manifest))
    tried = "align, try 1: OUT_OF_MEMORY: Killed.; then: memory doubled to 4096 MiB"
    assert say_why(seqdrop, stack, status="SUCCEEDED", results="s3://results/S1/7", tried=[tried])[1:] == [
        "",
        "Tried:",
        f"  {tried}",
        "",
        "Warnings:",
        "  align: 12 names come twice.",
    ]


def test_an_execution_without_a_row_is_told_by_its_whole_cause(stack, capsys):
    cause = "bwa failed.\nClass: TOOL_FAILED in prepare\nThe tool's last lines:\n  [E] no"
    runs.explain(stack, {"run": "r", "status": "FAILED", "class": "TOOL_FAILED", "message": cause, "execution": "arn"})
    assert capsys.readouterr().out.splitlines()[:5] == ["TOOL_FAILED", *cause.split("\n")]


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
