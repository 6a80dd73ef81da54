"""seqdrop.runs.table: the rows of files that wait for others."""

from __future__ import annotations

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


def test_the_row_of_a_lone_mate_expires_after_fourteen_days(rows: Deployed) -> None:
    table.create_waiting(FASTQS, MATES, "NA12878", "waits")
    row = only_row(rows)
    started = datetime.strptime(row["started"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert FOURTEEN_DAYS - DELAY < int(row["expires"]) - started <= FOURTEEN_DAYS


def test_a_lone_mate_that_arrives_again_keeps_its_row(rows: Deployed) -> None:
    table.create_waiting(FASTQS, MATES, "NA12878", "waits")
    row = only_row(rows)
    table.create_waiting(FASTQS, MATES, "NA12878", "another message")
    assert only_row(rows) == row


def test_only_the_row_of_the_same_files_is_deleted(rows: Deployed) -> None:
    table.create_waiting(FASTQS, MATES, "NA12878", "waits")
    table.delete_waiting(REFERENCES, MATES)
    table.delete_waiting(FASTQS, MATES[:1])
    assert only_row(rows)["status"] == "WAITING"
    table.delete_waiting(FASTQS, MATES)
    table.delete_waiting(FASTQS, MATES)
    assert rows.rows() == []
