"""`sam local invoke` of every function with its events, in a Lambda container made here, offline."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """What each function answered, by its event."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")
    done = subprocess.run(
        ["bash", ROOT / "local/invoke_all"], capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return {asked.split()[1].removeprefix("events/"): said for asked, said in zip(lines[::2], lines[1::2], strict=True)}


def test_every_event_is_handled(answers: dict[str, str]) -> None:
    assert {name: outcome(said) for name, said in answers.items()} == {
        "diagnose_bad_data.json": '"next": "give_up"',
        "diagnose_out_of_memory.json": '"next": "AlignReads"',
        "diagnose_spot_reclaimed.json": '"next": "AlignReads"',
        "eventbridge_object_created.json": '"outcome": "waiting"',
        "execution_aborted.json": '"status": "ABORTED"',
        "record_run_failed.json": '"status": "FAILED"',
        "record_run_succeeded.json": '"status": "FAILED"',  # no job has left a receipt here
        "s3_put.json": '"outcome": "waiting"',
        "schedule.json": '"repaired": 0',
    }


def outcome(said: str) -> str:
    """The last pair of an answer that says how it went."""
    found = re.findall(r'"(?:next|outcome|status)": "[^"]*"|"repaired": \d+', said)
    return found[-1] if found else said
