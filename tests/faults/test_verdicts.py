"""Reports to the user"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop_cli import why
from seqdrop_cli.reference import Source
from seqdrop_cli.stack import Stack
from support.catalogue import case, more
from support.function_aws import MACHINE, RESULTS, Deployed, event
from support.made_reads import fastq
from support.pipeline_runs import (
    Sample,
    deploy,
    eventually,
    execution,
    jobs_of,
    keys,
    prepare,
    refused_reference,
    run_pair,
    subscribe,
)

# 30 lines; the last five are hostile.
NOISE = r"""
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
class FailingStack:
    """A stack whose `samtools fixmate` is a script (`behaviour`) of the test."""

    stack: Stack
    behaviour: Path


@pytest.fixture(scope="module")
def failing_stack(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[FailingStack]:
    tools, folder = tmp_path_factory.mktemp("tools"), tmp_path_factory.mktemp("aws")
    behaviour, fake = tools / "behaviour", tools / "samtools"
    behaviour.write_text("exit 3")
    real = shutil.which("samtools")
    fake.write_text(f'#!/bin/sh\n[ "$1" = fixmate ] && exec bash "{behaviour}"\nexec "{real}" "$@"\n')
    fake.chmod(0o755)
    with deploy(folder, path=tools) as stack:
        prepare(stack, sample)
        yield FailingStack(stack, behaviour)


@dataclass(frozen=True)
class Reports:
    """The four reports of one failed run: its row, message, execution and `seqdrop why`."""

    row: dict[str, Any]
    subject: str
    message: str
    execution: dict[str, Any]
    why: str


def failed_run(
    failing_stack: FailingStack, sample: Sample, name: str, behaviour: str, capsys: pytest.CaptureFixture[str]
) -> Reports:
    failing_stack.behaviour.write_text(behaviour)
    with subscribe(failing_stack.stack, name) as receive:
        row = run_pair(failing_stack.stack, sample.small_pair, name)
        [message] = eventually(receive, f"the message of {name}")
    capsys.readouterr()
    why.explain(failing_stack.stack, row)
    description = execution(failing_stack.stack, row)
    return Reports(row, message["Subject"], message["Message"], description, capsys.readouterr().out)


@case(
    happens="A tool fails after it wrote colours, control characters and a line of 1 MB to its log.",
    see="`FAILED`, `TOOL_FAILED`. Row, message, execution and `seqdrop why RUN` have the last lines of the tool.",
    does="Keeps the last five lines, up to 200 characters each, without control characters. Does not retry.",
    do="Read these lines; `seqdrop logs RUN STEP` shows the whole log. Correct the cause, then `seqdrop resume RUN`.",
)
def test_the_last_lines_of_a_failed_tool_are_in_all_four_reports(
    failing_stack: FailingStack, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = failed_run(failing_stack, sample, "LOUD", NOISE, capsys)
    row, advice = reports.row, "Check the tool's last lines and its log, correct the cause, then run `seqdrop resume"
    assert (row["status"], row["class"], row["step"]) == ("FAILED", "TOOL_FAILED", "align")
    assert row["message"].startswith("samtools ended with exit code 3")
    assert [" ".join(line.split()) for line in row["tool_lines"]] == READABLE
    assert row["advice"].startswith(advice)
    [job] = jobs_of(failing_stack.stack, row, "align")
    assert row["log"].split()[-1] == job["container"]["logStreamName"]
    assert (reports.execution["error"], reports.execution["cause"].split("\n")[0]) == (row["class"], row["message"])
    for text in (reports.message, reports.execution["cause"], reports.why):
        for part in (row["class"], row["message"], advice, READABLE[0], *READABLE[3:], row["log"]):
            assert part in text
        assert text.replace("\n", "").isprintable()
    assert len(reports.execution["cause"]) < 3_000
    assert row["run"] in reports.subject
    assert "LOUD" not in reports.subject
    assert "manifest.json" not in keys(failing_stack.stack, row)


@more
def test_the_tries_of_a_failed_step_are_in_all_four_reports(
    failing_stack: FailingStack, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = failed_run(failing_stack, sample, "HUNGRY", KILLED, capsys)
    first, second = jobs_of(failing_stack.stack, reports.row, "align")
    assert int(second["container"]["memory"]) == 2 * int(first["container"]["memory"])
    killed = "OUT_OF_MEMORY: samtools was killed, most likely for using too much memory"
    tried = [
        f"align, try 1: {killed}; then: memory doubled to {second['container']['memory']} MiB",
        f"align, try 2: {killed}",
    ]
    assert (reports.row["class"], reports.row["tried"]) == ("OUT_OF_MEMORY", tried)
    assert "AlignMemory" in reports.row["advice"]
    for text in (reports.message, reports.execution["cause"], reports.why):
        for line in tried:
            assert line in text


@case(
    happens="The preparation of a reference fails.",
    see="`seqdrop reference` prints the failure class, message and advice, the last lines of the tool, and the log.",
    does="Ends the execution with the same text.",
    do="Correct the files or options as the message says, then `seqdrop reference` again.",
)
def test_a_failed_preparation_is_reported_with_its_cause_and_advice(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = tmp_path / "broken.fa"
    genome.write_text(">chr1\nACGT!\n")
    output = refused_reference(stack, capsys, Source.of(genome, None, "broken"))
    assert "line 2 of the FASTA has ! in chr1, which is not a base" in output
    assert "Log: " in output
    assert "No job was started" not in output


@more
def test_the_cause_of_a_failed_preparation_has_the_whole_report(functions: Deployed) -> None:
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
    happens="The verdict of a failed job cannot be parsed.",
    see="The failure class that follows from Batch's status and the exit code.",
    does="The doctor ignores the verdict.",
    do="Read the log of the step.",
)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1, 2]", b'{"class": "<script>", "message": 1}'])
def test_an_invalid_verdict_is_ignored(functions: Deployed, body: bytes) -> None:
    plan = event("diagnose_out_of_memory")
    bucket, _, folder = plan["results"].removeprefix("s3://").partition("/")
    functions.s3.put_object(Bucket=bucket, Key=f"{folder}/failures/align.1.1.json", Body=body)
    answer = functions.load("diagnose").call(plan)
    assert (answer["next"], answer["align"]["failures"][0]["class"]) == ("AlignReads", "OUT_OF_MEMORY")


@case(
    happens="A job fails in a way that nobody expected, or the doctor itself fails.",
    see="`FAILED`, `INTERNAL`, and what is known.",
    does="Does not retry. The results of the earlier steps are kept.",
    do="Report it with the log of the step: it is a bug of the pipeline.",
)
def test_an_unexpected_failure_is_reported_as_a_bug(functions: Deployed) -> None:
    plan = event("execution_input")
    plan["align"]["error"] = {"Error": "Unknown.Error", "Cause": "out of luck"}
    gave_up = functions.load("diagnose").call(plan)["align"]["gave_up"]
    assert gave_up["class"] == "INTERNAL"
    assert gave_up["message"] == "The job could not be run (Unknown.Error): out of luck"
    answer = functions.load("record_run").call({"plan": plan, "execution": f"{MACHINE}:r"})
    assert (answer["status"], answer["class"]) == ("FAILED", "INTERNAL")
    assert "the function diagnose failed too" in answer["cause"]


@case(
    happens="The end of a run cannot be recorded, for example because DynamoDB refuses all writes for some minutes.",
    see="The execution ends as `FAILED`, `NOT_RECORDED`. Within an hour the row has the real end of the run.",
    does="The hourly repair decides by the receipts and verdicts of the jobs, writes row and manifest, and sends the "
    "message.",
    do="Wait.",
)
def test_a_run_that_could_not_be_recorded_is_recorded_later(functions: Deployed) -> None:
    functions.prepare()
    start_run = functions.load("start_run")
    for mate in (1, 2):
        start_run.call(functions.put(f"S_R{mate}.fastq.gz", fastq(mate)))
    [run] = functions.executions()
    verdict = {**Verdict("BAD_INPUT.TRUNCATED", "R1 is truncated.").to_json(), "attempt": "1"}
    functions.write(f"s3://{RESULTS}/S/{run}/failures/align.1.1.json", verdict)
    functions.end(run, "FAILED", error="NOT_RECORDED", cause="The run could not be recorded.")
    assert functions.load("record_run").call(event("schedule")) == {"repaired": 1}
    row = functions.row(run) or {}
    assert (row["status"], row["class"], row["message"]) == ("FAILED", "BAD_INPUT.TRUNCATED", "R1 is truncated.")
    assert len(functions.messages()) == 1


@case(
    happens="A user starts the state machine with a manual plan that contains addresses of another run.",
    see="The execution ends as `FAILED`, `BAD_INPUT.PLAN`, with the names of these addresses.",
    does="Records nothing and writes no manifest.",
    do="Upload the reads instead, or correct the plan.",
)
def test_a_plan_with_the_addresses_of_another_run_is_not_recorded(functions: Deployed) -> None:
    request = event("record_run_succeeded")
    request["plan"]["manifest"] = request["plan"]["manifest"].replace("NA12878", "OTHER")
    answer = functions.load("record_run").call(request)
    assert (answer["status"], answer["class"]) == ("FAILED", "BAD_INPUT.PLAN")
    assert "manifest" in answer["cause"].splitlines()[0]
    assert (functions.rows(), functions.results(), functions.messages()) == ([], {}, [])


@case(
    happens="An output is deleted or overwritten before the end of its run.",
    see="`FAILED`, `RESULTS_CHANGED`, and the step.",
    does="Compares all outputs with the receipts, and writes no manifest.",
    do="`seqdrop resume RUN` creates the missing outputs again.",
)
@pytest.mark.parametrize("how", ["deleted", "overwritten"])
def test_a_manifest_never_lists_a_changed_output(functions: Deployed, how: str) -> None:
    request = event("record_run_succeeded")
    bucket, _, folder = request["plan"]["results"].removeprefix("s3://").partition("/")
    for step in ("align", "call", "annotate", "collect", "compose"):
        stored = functions.s3.put_object(Bucket=bucket, Key=f"{folder}/{step}", Body=b"first")
        output = {"name": step, "uri": f"s3://{bucket}/{folder}/{step}", "etag": stored["ETag"].strip('"'), "size": 5}
        receipt = {"version": 1, "seconds": 1.0, "vcpus": 1, "memory": 1, "counts": {}, "outputs": [output]}
        functions.write(f"s3://{bucket}/{folder}/jobs/{step}.json", receipt)
    if how == "deleted":
        functions.s3.delete_object(Bucket=bucket, Key=f"{folder}/call")
    else:
        functions.s3.put_object(Bucket=bucket, Key=f"{folder}/call", Body=b"other")
    answer = functions.load("record_run").call(request)
    assert (answer["status"], answer["class"]) == ("FAILED", "RESULTS_CHANGED")
    assert f"{folder}/manifest.json" not in functions.results()


@case(
    happens="The execution of a resumed run never starts, because of a crash after the write of its row.",
    see="`FAILED`, `NOT_STARTED` within an hour; until then `seqdrop why RUN` shows that it has not started.",
    does="The hourly repair closes the row and sends the message. No data is lost.",
    do="`seqdrop resume RUN`.",
)
def test_a_run_whose_execution_never_started_is_closed_as_failed(functions: Deployed) -> None:
    missing = f"{MACHINE.replace(':stateMachine:', ':execution:')}:r-2"
    times = {"started": "2026-01-01T00:00:00Z", "resumed": "2026-01-02T00:00:00Z"}
    row = {"run": "r", "sample": "S", "execution": missing, "results": f"s3://{RESULTS}/S/r"}
    functions.table.put_item(Item={**row, "status": "RUNNING", **times})
    assert functions.load("record_run").call(event("schedule")) == {"repaired": 1}
    closed = functions.row("r")
    assert closed
    assert (closed["status"], closed["class"]) == ("FAILED", "NOT_STARTED")
    assert "`seqdrop resume r --stack seqdrop`" in closed["advice"]
    [(subject, _)] = functions.messages()
    assert subject == "seqdrop run r: failed"
