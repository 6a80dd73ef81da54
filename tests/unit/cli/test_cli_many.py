"""Several samples with one command: its error says what became of all. tests/pipeline has whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from seqdrop_cli import folders, many, run
from seqdrop_cli.errors import INTERRUPTED_EXIT, CliError, ResultsNotFetchedError
from seqdrop_cli.run import QC_EXIT, RunRequest, RunResult
from seqdrop_cli.stack import Stack
from support import cli_aws

FAILED, QC_FAILED = CliError("ended as FAILED"), CliError("failed its quality control", QC_EXIT)


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        yield stack


def run_samples(
    stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch, errors: dict[str, Exception]
) -> tuple[CliError, list[str]]:
    """Run the samples A, B and C, some of which end with an error; return that of the command and those followed."""
    followed = []

    def finish(_stack: Stack, request: RunRequest, run_id: str) -> RunResult:
        followed.append(run_id)
        if error := errors.get(request.fastqs.sample):
            raise error
        return RunResult({}, [], [])

    for name in ("A_R1", "A_R2", "B_R1", "B_R2", "C_R1", "C_R2"):
        (folder / f"{name}.fastq.gz").write_bytes(name.encode())
    monkeypatch.setattr(run, "start", lambda _stack, request: request.fastqs.sample)
    monkeypatch.setattr(run, "finish", finish)
    samples = folders.group([folder])
    with pytest.raises(CliError) as raised:
        many.run_all(stack, RunRequest(samples[0], None), samples)
    return raised.value, followed


@pytest.mark.parametrize(
    ("errors", "message", "code"),
    [
        ({"B": FAILED}, "\n1 of 3 samples failed: B.", 1),
        ({"A": QC_FAILED, "C": QC_FAILED}, "\n2 of 3 samples failed: A, C.", QC_EXIT),
        ({"A": QC_FAILED, "B": FAILED}, "\n2 of 3 samples failed: A, B.", 1),
    ],
    ids=["failed", "quality control", "both"],
)
def test_the_other_samples_go_on_and_the_exit_code_is_the_common_one(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: dict[str, CliError], message: str, code: int
) -> None:
    error, followed = run_samples(stack, tmp_path, monkeypatch, errors)
    assert (str(error), error.code, followed) == (message, code, ["A", "B", "C"])


def test_an_aws_whose_results_could_not_be_downloaded_must_stay_up(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {"A": ResultsNotFetchedError("no space"), "B": FAILED}
    error, _ = run_samples(stack, tmp_path, monkeypatch, errors)
    assert isinstance(error, ResultsNotFetchedError)


def test_an_interruption_ends_the_command_for_all_samples(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = CliError("The run continues.", INTERRUPTED_EXIT)
    error, followed = run_samples(stack, tmp_path, monkeypatch, {"A": interrupted})
    assert (error, followed) == (interrupted, ["A"])


def test_an_error_of_aws_ends_one_sample_and_not_the_others(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttled = ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce your rate"}}, "PutObject")
    error, followed = run_samples(stack, tmp_path, monkeypatch, {"A": throttled})
    assert (str(error), error.code, followed) == ("\n1 of 3 samples failed: A.", 1, ["A", "B", "C"])
