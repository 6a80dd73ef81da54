"""seqdrop.runs.table: the rows of runs that end at once, and of files that wait for others."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from seqdrop.runs import table
from support.function_aws import FASTQS, REFERENCES, RESOURCES, Deployed

MATES = ("NA12878_R1.fastq.gz", "NA12878_R2.fastq.gz")
FOURTEEN_DAYS = 14 * 86_400  # seconds
DELAY = 60  # seconds that may pass between two lines of code on a busy machine


@pytest.fixture
def rows(aws: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """The empty run table."""
    monkeypatch.setenv("RUN_TABLE", RESOURCES["RunTable"])
    table.run_table.cache_clear()
    return aws


def only_row(aws: Deployed) -> dict[str, Any]:
    (row,) = aws.rows()
    return row


def test_the_row_of_a_run_that_was_recorded_first_gets_what_it_lacks(rows: Deployed) -> None:
    short = {"run": "r", "sample": "NA12878", "execution": "e", "form": "fused", "started": "2026-01-01T00:00:00Z"}
    assert table.create(short)
    assert table.close("r", "e", {"status": "SUCCEEDED", "finished": table.now()})
    closed = only_row(rows)
    row = {"run": "r", "sample": "other", "execution": "e", "reference": "hg", "content": "c", "lanes": 1}
    for _ in range(2):
        table.create_or_complete(row)
        assert only_row(rows) == {**closed, "reference": "hg", "content": "c", "lanes": 1}


def test_the_row_of_another_execution_is_not_completed(rows: Deployed) -> None:
    assert table.create({"run": "r", "sample": "NA12878", "execution": "resumed"})
    row = only_row(rows)
    table.create_or_complete({"run": "r", "sample": "NA12878", "execution": "first", "reference": "hg"})
    assert only_row(rows) == row


def test_the_row_of_a_lone_mate_expires_after_fourteen_days(rows: Deployed) -> None:
    table.create_waiting(FASTQS, MATES, "NA12878", "waits")
    row = only_row(rows)
    started = datetime.strptime(row["started"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert FOURTEEN_DAYS - DELAY < int(row["expires"]) - started <= FOURTEEN_DAYS


def test_files_that_still_wait_keep_their_row_with_the_new_message(rows: Deployed) -> None:
    table.create_waiting(FASTQS, MATES, "NA12878", "1 of 4 lanes: L001")
    row = only_row(rows)
    table.create_waiting(FASTQS, MATES, "NA12878", "2 of 4 lanes: L001, L002")
    assert only_row(rows) == {**row, "message": "2 of 4 lanes: L001, L002"}


def test_one_of_many_callers_sends_the_message_of_a_refusal(rows: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"run": "r", "sample": "NA12878"}
    assert [table.create_refused(row, "BAD_INPUT.EMPTY", "no reads") for _ in range(3)] == [True, False, False]
    table.release_notification("r")
    assert [table.create_refused(row, "BAD_INPUT.EMPTY", "no reads") for _ in range(2)] == [True, False]
    later = time.time() + table.MESSAGE_LEASE
    with monkeypatch.context() as patch:
        patch.setattr(table.time, "time", lambda: later)  # the caller died
        assert table.create_refused(row, "BAD_INPUT.EMPTY", "no reads")
    table.clear_notify_pending("r")
    assert not table.create_refused(row, "BAD_INPUT.EMPTY", "no reads")
    assert only_row(rows).keys() & {"notify_pending", "notify_claimed"} == set()


def test_only_the_row_of_the_same_files_is_deleted(rows: Deployed) -> None:
    table.create_waiting(FASTQS, MATES, "NA12878", "waits")
    table.delete_waiting(REFERENCES, MATES)
    table.delete_waiting(FASTQS, MATES[:1])
    assert only_row(rows)["status"] == "WAITING"
    table.delete_waiting(FASTQS, MATES)
    table.delete_waiting(FASTQS, MATES)
    assert rows.rows() == []
