import errno

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from seqdrop_cli import app as commands
from seqdrop_cli.app import app
from typer.testing import CliRunner


def seqdrop(*words):
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def fails_with(monkeypatch, error):
    def raise_it(*_):
        raise error

    monkeypatch.setattr(commands, "open_stack", raise_it)
    return seqdrop("status")


def test_help_tells_every_command_in_one_line():
    code, output = seqdrop("--help")
    assert code == 0
    for command in ("up", "down", "reference", "run", "status", "why", "stop", "logs", "demo"):
        assert f"\n│ {command} " in output


def test_ctrl_c_is_a_sentence_and_130(monkeypatch):
    assert fails_with(monkeypatch, KeyboardInterrupt()) == (130, "Interrupted. Nothing was left running.\n")


def test_a_full_disk_is_a_sentence(monkeypatch):
    error = OSError(errno.ENOSPC, "No space left on device", "/data/S.bam")
    code, output = fails_with(monkeypatch, error)
    assert (code, output) == (1, "The disk is full at /data/S.bam: make room and run the same command again.\n")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "http://127.0.0.1:9 does not answer"),
        (NoCredentialsError(), "No AWS credentials were found"),
    ],
)
def test_what_aws_says_is_a_sentence(monkeypatch, error, sentence):
    code, output = fails_with(monkeypatch, error)
    assert code == 1
    assert output.startswith(sentence)


def test_a_mistake_in_the_program_keeps_its_traceback(monkeypatch):
    def mistake(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "open_stack", mistake)
    done = CliRunner().invoke(app, ["status"])
    assert isinstance(done.exception, ZeroDivisionError)
