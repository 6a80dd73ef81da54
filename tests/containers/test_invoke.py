"""`sam local invoke` runs every function with its events, offline, in a Lambda image built by the test."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """Return the answer of a function to each event."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")
    process = subprocess.run(
        ["bash", ROOT / "local/invoke_all"], capture_output=True, text=True, check=False, timeout=1800
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    lines = [line for line in process.stdout.splitlines() if line.strip()]
    return {
        command.split()[4].removeprefix("events/"): answer
        for command, answer in zip(lines[::2], lines[1::2], strict=True)
    }


def test_every_event_is_handled(answers: dict[str, str]) -> None:
    assert {name: outcome(answer) for name, answer in answers.items()} == {
        "api_list_runs.json": '"statusCode": 200',
        "diagnose_bad_data.json": '"next": "give_up"',
        "diagnose_out_of_memory.json": '"next": "AlignReads"',
        "diagnose_spot_reclaimed.json": '"next": "AlignReads"',
        "eventbridge_object_created.json": '"outcome": "waiting"',
        "execution_aborted.json": '"status": "ABORTED"',
        "record_run_failed.json": '"status": "FAILED"',
        "record_run_succeeded.json": '"status": "FAILED"',  # the results folder has no receipts
        "s3_put.json": '"outcome": "waiting"',
        "schedule.json": '"repaired": 0',
        "sqs_end_wait.json": '"batchItemFailures": []',
    }


def outcome(answer: str) -> str:
    """Return the last field of an answer that has the outcome, with its value."""
    outcomes = r'"(?:next|outcome|status)": "[^"]*"|"(?:repaired|statusCode)": \d+|"batchItemFailures": \[\]'
    fields = re.findall(outcomes, answer)
    return fields[-1] if fields else answer
