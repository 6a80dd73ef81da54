"""What a person is told"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from seqdrop_cli import reference, runs
from seqdrop_cli.problem import Problem
from seqdrop_cli.reference import Source
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import MACHINE, RESULTS, Deployed, event
from support.pipeline_runs import Sample, deployed, eventually, execution, jobs_of, keys, prepare, run_pair

# 30 lines, the last of them as hostile as a tool's words can be.
LOUD = r"""
for number in $(seq 25); do echo "line $number" >&2; done
printf '\033[31;1mred\033[0m and \033]0;a title\007loud\n' >&2
printf 'NUL \000 BEL \007 and \342\200\256backwards\n' >&2
head -c 1000000 /dev/zero | tr '\000' x >&2; echo >&2
printf 'a tab\tand a <b>tag</b> $(touch /tmp/no)\n' >&2
echo '[E::fixmate] out of luck' >&2
exit 3
"""
KILLED = f"kill -{int(signal.SIGKILL)} $$"
READABLE = [
    "red and loud",
    "NUL BEL and backwards",
    "x" * 197 + "...",
    "a tab and a <b>tag</b> $(touch /tmp/no)",
    "[E::fixmate] out of luck",
]


@dataclass(frozen=True)
class Staged:
    """A stack whose samtools fails as a test wants it to, and the messages that went out."""

    stack: Stack
    behaviour: Path

    def inbox(self) -> Any:
        return self.stack.session.client("sqs", endpoint_url=self.stack.endpoint)

    def subscribe(self) -> str:
        topics = self.stack.session.client("sns", endpoint_url=self.stack.endpoint)
        queue = str(self.inbox().create_queue(QueueName="inbox")["QueueUrl"])
        arn = self.inbox().get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        topics.subscribe(TopicArn=self.stack["RunTopic"], Protocol="sqs", Endpoint=arn)
        return queue

    def message(self, queue: str, run: str) -> dict[str, Any]:
        def look() -> Any:
            found = self.inbox().receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            told = [json.loads(entry["Body"]) for entry in found]
            return next((one for one in told if run in one["Subject"]), None)

        found: dict[str, Any] = eventually(look, f"the message of {run}")
        return found


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[Staged]:
    tools, folder = tmp_path_factory.mktemp("tools"), tmp_path_factory.mktemp("aws")
    behaviour, stand_in = tools / "behaviour", tools / "samtools"
    behaviour.write_text("exit 3")
    real = shutil.which("samtools")
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = fixmate ] && exec bash "{behaviour}"\nexec "{real}" "$@"\n')
    stand_in.chmod(0o755)
    with deployed(folder, path=tools) as stack:
        prepare(stack, sample)
        yield Staged(stack, behaviour)


@dataclass(frozen=True)
class Told:
    """One failed run, in the four places where a person may look."""

    row: dict[str, Any]
    subject: str
    message: str
    ending: dict[str, Any]
    why: str


def failed_run(staged: Staged, sample: Sample, name: str, behaviour: str, capsys: pytest.CaptureFixture[str]) -> Told:
    staged.behaviour.write_text(behaviour)
    queue = staged.subscribe()
    row = run_pair(staged.stack, sample.few, name)
    message = staged.message(queue, row["run"])
    capsys.readouterr()
    runs.explain(staged.stack, row)
    ending = execution(staged.stack, row)
    return Told(row, message["Subject"], message["Message"], ending, capsys.readouterr().out)


@case(
    happens="A tool fails, and floods its log with colours, control characters and a line of a megabyte.",
    see="`FAILED`, `TOOL_FAILED`: its last lines, readable, in the row, the message, the execution and `seqdrop why`.",
    does="Keeps five lines of 200 characters, without what a terminal would obey. Does not try again.",
    do="Read what the tool says; `seqdrop logs RUN STEP` has all of it. Resume the run when the cause is gone.",
)
def test_a_tools_last_words_reach_the_person_in_all_four_places(
    staged: Staged, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    told = failed_run(staged, sample, "LOUD", LOUD, capsys)
    row, advice = told.row, "Check the tool's last lines and its log, correct the cause, then run `seqdrop resume"
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "TOOL_FAILED", "align")
    assert row["message"].startswith("samtools ended with exit code 3")
    assert [" ".join(line.split()) for line in row["tool_lines"]] == READABLE
    assert row["advice"].startswith(advice)
    [job] = jobs_of(staged.stack, row, "align")
    assert row["log"].split()[-1] == job["container"]["logStreamName"]
    assert (told.ending["error"], told.ending["cause"].split("\n")[0]) == (row["class"], row["message"])
    for text in (told.message, told.ending["cause"], told.why):
        for words in (row["class"], row["message"], advice, READABLE[0], *READABLE[3:], row["log"]):
            assert words in text
        assert text.replace("\n", "").isprintable()
    assert len(told.ending["cause"]) < 3_000
    assert "LOUD" not in told.subject
    assert "manifest.json" not in keys(staged.stack, row)


@more
def test_what_was_tried_is_told_in_all_four_places(
    staged: Staged, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    told = failed_run(staged, sample, "HUNGRY", KILLED, capsys)
    first, second = jobs_of(staged.stack, told.row, "align")
    assert int(second["container"]["memory"]) == 2 * int(first["container"]["memory"])
    killed = "OUT_OF_MEMORY: samtools was killed, most likely for using too much memory"
    tried = [
        f"align, try 1: {killed}; then: memory doubled to {second['container']['memory']} MiB",
        f"align, try 2: {killed}",
    ]
    assert (told.row["class"], told.row["tried"]) == ("OUT_OF_MEMORY", tried)
    assert "AlignMemory" in told.row["advice"]
    for text in (told.message, told.ending["cause"], told.why):
        for line in tried:
            assert line in text


@case(
    happens="A preparation of a reference fails.",
    see="`seqdrop reference` ends with class, sentence, what to do, the tool's last lines and the log.",
    does="Ends the state machine with the same words.",
    do="What it says; then `seqdrop reference` again.",
)
def test_a_preparation_that_fails_says_all_there_is_to_say(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = tmp_path / "broken.fa"
    genome.write_text(">chr1\nACGT!\n")
    with pytest.raises(Problem, match=r"Reference broken could not be prepared\."):
        reference.prepare(stack, Source.of(genome, None, "broken"))
    said = capsys.readouterr().out
    for words in ("REFERENCE in prepare", "characters in chr1 that are not bases", "What to do: ", "Log: "):
        assert words in said
    assert "Nothing was started" not in said


@more
def test_a_preparation_ends_with_all_there_is_to_say(functions: Deployed) -> None:
    plan = event("diagnose_bad_data")
    plan["prepare"] = {**plan.pop("align"), "attempt": "1"}
    gave_up = functions.load("diagnose").call(plan)["prepare"]["gave_up"]
    assert gave_up["cause"].splitlines() == [
        gave_up["message"],
        f"Class: {gave_up['class']} in prepare",
        f"What to do: {gave_up['advice']}",
        f"Log: {gave_up['log']}",
    ]


@case(
    happens="A job leaves a verdict that cannot be read.",
    see="The class that Batch's own words and the exit code give.",
    does="Passes over it; the doctor does not fail with it.",
    do="Look at the log of the step.",
)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1, 2]", b'{"class": "<script>", "message": 1}'])
def test_a_verdict_that_cannot_be_read_leaves_batchs_word(functions: Deployed, body: bytes) -> None:
    plan = event("diagnose_out_of_memory")
    bucket, _, folder = plan["results"].removeprefix("s3://").partition("/")
    functions.s3.put_object(Bucket=bucket, Key=f"{folder}/failures/align.1.1.json", Body=body)
    answer = functions.load("diagnose").call(plan)
    assert (answer["next"], answer["align"]["failures"][0]["class"]) == ("AlignReads", "OUT_OF_MEMORY")


@case(
    happens="Somebody starts the state machine by hand with a plan that names another run's addresses.",
    see="The execution ends as `FAILED`, `BAD_INPUT.PLAN`, and names the addresses.",
    does="Records nothing and writes no manifest: not there, not elsewhere.",
    do="Drop the reads instead, or correct the plan.",
)
def test_a_plan_with_the_addresses_of_another_run_is_not_recorded(functions: Deployed) -> None:
    told = event("record_run_succeeded")
    told["plan"]["manifest"] = told["plan"]["manifest"].replace("NA12878", "OTHER")
    answer = functions.load("record_run").call(told)
    assert (answer["status"], answer["class"]) == ("FAILED", "BAD_INPUT.PLAN")
    assert "manifest" in answer["cause"].splitlines()[0]
    assert (functions.rows(), functions.results(), functions.messages()) == ([], {}, [])


@case(
    happens="An output is deleted or overwritten before its run is over.",
    see="`FAILED`, `RESULTS_CHANGED`, and the step.",
    does="Publishes no manifest that lists what is not there.",
    do="`seqdrop resume RUN` makes anew what is gone.",
)
@pytest.mark.parametrize("how", ["deleted", "overwritten"])
def test_no_manifest_lists_what_is_not_there(functions: Deployed, how: str) -> None:
    told = event("record_run_succeeded")
    bucket, _, folder = told["plan"]["results"].removeprefix("s3://").partition("/")
    for step in ("align", "call", "annotate", "collect", "compose"):
        stored = functions.s3.put_object(Bucket=bucket, Key=f"{folder}/{step}", Body=b"whole")
        output = {"name": step, "uri": f"s3://{bucket}/{folder}/{step}", "etag": stored["ETag"].strip('"'), "size": 5}
        receipt = {"seconds": 1.0, "vcpus": 1, "memory": 1, "counts": {}, "outputs": [output]}
        functions.write(f"s3://{bucket}/{folder}/jobs/{step}.json", receipt)
    if how == "deleted":
        functions.s3.delete_object(Bucket=bucket, Key=f"{folder}/call")
    else:
        functions.s3.put_object(Bucket=bucket, Key=f"{folder}/call", Body=b"other")
    answer = functions.load("record_run").call(told)
    assert (answer["status"], answer["class"]) == ("FAILED", "RESULTS_CHANGED")
    assert f"{folder}/manifest.json" not in functions.results()


@case(
    happens="The execution of a resumed run never begins: a crash between its row and its start.",
    see="Within an hour `FAILED`, `NOT_STARTED`; until then `seqdrop why RUN` says that it has not begun.",
    does="Closes the row and tells of it; loses nothing.",
    do="`seqdrop resume RUN`.",
)
def test_a_run_that_never_began_does_not_seem_to_run_for_ever(functions: Deployed) -> None:
    gone = f"{MACHINE.replace(':stateMachine:', ':execution:')}:r-2"
    times = {"started": "2026-01-01T00:00:00Z", "resumed": "2026-01-02T00:00:00Z"}
    known = {"run": "r", "sample": "S", "execution": gone, "results": f"s3://{RESULTS}/S/r"}
    functions.table.put_item(Item={**known, "status": "RUNNING", **times})
    assert functions.load("record_run").call(event("schedule")) == {"repaired": 1}
    row = functions.row("r")
    assert row
    assert (row["status"], row["class"]) == ("FAILED", "NOT_STARTED")
    assert "`seqdrop resume RUN`" in row["advice"]
    [(subject, _)] = functions.messages()
    assert subject == "seqdrop run r: failed"
