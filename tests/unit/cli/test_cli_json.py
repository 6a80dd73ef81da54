"""`--json` of every command: one document on standard output, all messages on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from seqdrop.failure.verdict import Verdict
from seqdrop_cli import embedded, fetch, reference, resume, run, saved_references
from seqdrop_cli import stack as stacks
from seqdrop_cli.app import app
from seqdrop_cli.demo import command as demo
from seqdrop_cli.run import RunResult
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack
from support import cli_aws
from typer.main import get_command
from typer.testing import CliRunner

RUNNING = {"run": cli_aws.RUN, "sample": "S1", "status": "RUNNING", "execution": cli_aws.EXECUTION}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with cli_aws.stack() as without_queue:
        queue = without_queue.queues.create_queue(QueueName="dead")["QueueUrl"]
        stack = replace(without_queue, outputs={**without_queue.outputs, "DeadLetterQueue": queue})
        row = {**RUNNING, "started": "2026-03-01T10:00:00Z", "results": cli_aws.RESULTS}
        stack.table.put_item(Item=row)
        monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
        yield stack


def call(*words: str) -> tuple[Any, str]:
    """Run a command with --json that succeeds; return its document and its messages."""
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


def test_every_command_has_the_option() -> None:
    group: Any = get_command(app)
    commands = {**group.commands, **group.commands["qc"].commands}
    del commands["qc"]  # a group
    for name, command in commands.items():
        assert any("--json" in option.opts for option in command.params), name


def test_why_has_the_row_the_verdicts_and_the_warnings(stack: Stack) -> None:
    verdict = json.loads(json.dumps(Verdict("OUT_OF_MEMORY", "bwa was killed.", "bwa").to_json()))
    cli_aws.write_json(stack, "results", f"S1/{cli_aws.RUN}/failures/align.2.1.json", verdict)
    cli_aws.write_json(
        stack, "results", f"S1/{cli_aws.RUN}/manifest.json", {"warnings": [{"step": "call", "message": "few"}]}
    )
    document, messages = call("why", "S1")
    assert document["failures"] == [{"step": "align", "try": "2", **verdict}]
    assert (document["warnings"], document["steps"], document["sample"]) == (["call: few"], [], "S1")
    assert messages == ""


def test_stop_has_the_run_and_its_execution(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stack, "status_of", lambda *_: "RUNNING")
    monkeypatch.setattr(stack.stepfunctions, "stop_execution", lambda **_: None)
    document, messages = call("stop", "S1")
    assert document == {"run": cli_aws.RUN, "execution": cli_aws.EXECUTION}
    assert messages.startswith(f"Run {cli_aws.RUN} is being stopped")


def test_resume_has_the_row(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_request_resume", lambda *_: (cli_aws.RUN, cli_aws.EXECUTION))
    assert call("resume", "S1", "--detach")[0] == {"run": cli_aws.RUN, "execution": cli_aws.EXECUTION}
    monkeypatch.setattr(run, "follow_run", lambda *_: ({**RUNNING, "status": "SUCCEEDED"}, []))
    monkeypatch.setattr(fetch, "fetch", lambda *_: [])
    document, messages = call("resume", "S1")
    assert document == {**RUNNING, "status": "SUCCEEDED"}
    assert "is resumed" in messages


def test_redrive_counts_events_by_function(stack: Stack) -> None:
    assert call("redrive") == ({}, "No events were sent.\n")


def test_reference_has_its_summary(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hg.fa").write_text(">chr1\nACGT\n")
    summary = {"contigs": [{"name": "chr1", "length": 4}], "indexes": ["bwa"]}
    monkeypatch.setattr(reference, "prepare", lambda *_: summary)
    document, messages = call("reference", str(tmp_path / "hg.fa"))
    assert document == {"name": "hg", **summary}
    assert messages.startswith("Reference hg is ready: 1 contig")


@pytest.fixture
def server(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """An embedded AWS that is up; return its endpoint."""
    state = {"pid": 7, "endpoint": "http://127.0.0.1:9", "executor": "docker", "parameters": {}, "outputs": {}}
    names = embedded.Embedded.__dataclass_fields__
    found = embedded.Embedded(**{name: state.get(name, "") for name in names})  # type: ignore[arg-type]  of a test
    monkeypatch.setattr(embedded, "running", lambda: found)
    return found.endpoint


def test_run_has_the_row_and_the_files(
    stack: Stack, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fastqs = [tmp_path / f"S1_R{mate}.fastq.gz" for mate in (1, 2)]
    for path in fastqs:
        path.write_bytes(path.name.encode())

    def run_pipeline(*_: Any) -> RunResult:
        say("Run succeeded")
        return RunResult(RUNNING, [], [Path("results/S1.bam")])

    monkeypatch.setattr(run, "run_pipeline", run_pipeline)
    document, messages = call("run", *map(str, fastqs))
    assert (document, messages) == ({**RUNNING, "files": ["results/S1.bam"]}, "Run succeeded\n")


def test_demo_has_its_figures(stack: Stack, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda *_: {"recall": 1.0})
    assert call("demo") == ({"recall": 1.0}, "")


def test_down_has_the_address_that_is_gone(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "stop", lambda _: None)
    monkeypatch.setattr(saved_references, "save", lambda _: ["hg"])
    document, messages = call("down")
    assert document == {"endpoint": server, "kept": ["hg"]}
    assert "Everything in it was deleted but hg, which the next `seqdrop up` has." in messages


def test_an_error_leaves_standard_output_empty_and_the_next_command_prints_there(stack: Stack) -> None:
    failed = CliRunner().invoke(app, ["why", "nothing", "--json"])
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith("Stack seqdrop has no run or sample nothing")
    assert "SUCCEEDED" not in CliRunner().invoke(app, ["status"]).stderr
    assert CliRunner().invoke(app, ["status"]).stdout.startswith("run")
