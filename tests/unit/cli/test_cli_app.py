from __future__ import annotations

import errno
import re
import shlex
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from seqdrop import __version__
from seqdrop.plan import steps
from seqdrop.storage.s3 import IntegrityError
from seqdrop_cli import stack as stacks
from seqdrop_cli.app import app
from seqdrop_cli.usage import EXAMPLES
from support.cli_aws import seqdrop
from typer.main import get_command
from typer.testing import CliRunner

COMMANDS = ("up", "down", "reference", "references", "run", "submit", "joint", "fetch", "verify", "status", "why",
            "stop", "resume", "redrive", "logs", "demo", "check", "api", "report", "cost", "estimate",
            "suggest")  # fmt: skip


def raise_in_command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def raise_error(*_: Any) -> None:
        raise error

    monkeypatch.setattr(stacks, "open_stack", raise_error)


def test_the_help_has_one_line_for_each_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, output = seqdrop("--help")
    listing = [line for line in output.split(" Commands ", 1)[1].splitlines() if line.startswith("│")]
    assert code == 0
    assert [line.split()[1] for line in listing] == [*COMMANDS, "qc"]


def test_the_help_of_args_and_logs_has_every_step_and_every_option_of_its_tools() -> None:
    run, logs = " ".join(seqdrop("run", "--help")[1].split()), seqdrop("logs", "--help")[1]
    for step in steps.STEPS:
        assert step.name in logs
        for tool in step.tools:
            assert not tool.options or f"{step.name} ({tool.name})" in run
            assert all(option.name in run for option in tool.options)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_examples_that_it_accepts(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    help_text = seqdrop(command, "-h")[1]
    assert (0, help_text) == seqdrop(command, "--help")
    assert not re.search(r"<[a-zA-Z\[]", help_text)  # a type of Python in place of a name
    lines = [line.strip() for line in help_text.split("Examples:")[1].splitlines() if line.strip()]
    assert lines == list(EXAMPLES[command])
    for line in lines:
        _, name, *words = shlex.split(line)
        assert name == command
        group = get_command(app)
        context = group.make_context("seqdrop", [name, *words])
        group.get_command(context, name).make_context(name, words, parent=context)  # type: ignore[attr-defined]  it is a group


def test_the_version_is_that_of_the_product() -> None:
    assert seqdrop("--version") == (0, f"seqdrop {__version__}\n")


def test_the_help_has_every_exit_code() -> None:
    help_text = " ".join(seqdrop("--help")[1].split())
    assert (
        "Exit codes: 0 done; 1 it failed, and the message says what to do; 2 a wrong command line; "
        "3 the run has results that its QC policy refuses; 65 the samplesheet has problems; 130 inter" in help_text
    )


def test_the_help_of_a_command_in_a_group_has_examples_and_plain_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    help_text = seqdrop("qc", "check", "-h")[1]
    assert not re.search(r"<[a-zA-Z\[]", help_text)
    lines = [line.strip() for line in help_text.split("Examples:")[1].splitlines() if line.strip()]
    assert lines == list(EXAMPLES["qc check"])
    assert "Examples:" not in seqdrop("qc", "-h")[1]


@pytest.mark.parametrize(
    ("typed", "completions"),
    [("st", ["status", "stop"]), ("logs latest a", ["align", "annotate"]), ("run --inter", ["--intervals"])],
)
def test_the_shell_completes_commands_options_and_steps(typed: str, completions: list[str]) -> None:
    words = f"seqdrop {typed}"
    environment = {
        "_SEQDROP_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(app, [], env=environment, prog_name="seqdrop")
    assert result.output.split() == completions


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "Interrupted. Nothing was left running."),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/S.bam"),
            1,
            "The disk is full at /data/S.bam: free some space and run the same command again.",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/data"), 1, "Permission denied at /data."),
        (IntegrityError("s3://b/k: 1 of 2 bytes arrived"), 1, "s3://b/k: 1 of 2 bytes arrived: run the same command"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), 1, "http://127.0.0.1:9 does not answer"),
        (NoCredentialsError(), 1, "No AWS credentials were found"),
    ],
)
def test_an_error_that_a_user_can_correct_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    raise_in_command(monkeypatch, error)
    exit_code, output = seqdrop("status")
    assert exit_code == code
    assert output.startswith(message)
    assert output.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "demo", "reference"])
def test_a_tool_that_cannot_do_the_step_is_refused_with_those_that_can(command: str) -> None:
    files = {"run": ["a_R1.fastq", "a_R2.fastq"], "demo": [], "reference": ["hg.fa"]}[command]
    code, output = seqdrop(command, *files, "--aligner", "bcftools")
    assert code == 2
    assert "'bcftools' is not one of bwa_mem3, bwa, isaac" in " ".join(output.replace("│", " ").split())


def test_an_error_in_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raise_in_command(monkeypatch, ZeroDivisionError())
    assert isinstance(CliRunner().invoke(app, ["status"]).exception, ZeroDivisionError)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "S_R1.fastq.gz", "S_R2.fastq.gz", "--reference", ""],
        ["run", "S_R1.fastq.gz", "S_R2.fastq.gz", "--intervals", ""],
        ["reference", "genome.fa", "--name", ""],
        ["status", "--stack", ""],
        ["status", "--region", ""],
    ],
    ids=lambda words: words[-2],
)
def test_an_empty_value_is_refused_and_not_replaced_by_the_default(words: list[str]) -> None:
    """A run with `--intervals "$BED"` must not be a run of the whole genome if the variable is not set."""
    code, output = seqdrop(*words)
    assert code == 2
    assert f"Invalid value for '{words[-2]}'" in output
    assert "the value is empty" in output
