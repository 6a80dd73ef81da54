from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from seqdrop_cli import app as commands
from seqdrop_cli.stack import Stack
from support import cli_aws
from support.cli_aws import seqdrop

FAILED = {
    "run": cli_aws.RUN,
    "sample": "S1",
    "status": "FAILED",
    "execution": cli_aws.EXECUTION,
    "started": "2026-03-01T10:00:00+00:00",
    "finished": "2026-03-01T10:03:05+00:00",
    "results": cli_aws.RESULTS,
    "step": "align",
    "class": "BAD_INPUT.TRUNCATED",
    "message": "R2 ends in the middle of a record.",
}
OLDER = {"run": "01ffffffffffffffffff", "sample": "S0", "status": "SUCCEEDED", "started": "2026-02-01T10:00:00+00:00"}


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack with two runs, which the commands open."""
    with cli_aws.stack() as stack:
        for row in (OLDER, FAILED):
            stack.table.put_item(Item=row)
        monkeypatch.setattr(commands, "open_stack", lambda *_: stack)
        yield stack


def test_the_newest_run_is_listed_first() -> None:
    code, output = seqdrop("status")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["run", FAILED["run"], OLDER["run"]]
    assert "3 min 05 s" in output


def test_json_has_the_rows_of_the_table() -> None:
    assert json.loads(seqdrop("status", "--json")[1]) == [FAILED, OLDER]
    assert json.loads(seqdrop("status", "latest", "--json")[1]) == FAILED


def test_one_run_is_shown_with_its_attributes() -> None:
    _, output = seqdrop("status", cli_aws.RUN)
    assert output.splitlines() == [
        f"run        {cli_aws.RUN}",
        "sample     S1",
        "status     FAILED",
        "started    2026-03-01T10:00:00+00:00",
        "finished   2026-03-01T10:03:05+00:00",
        "duration   3 min 05 s",
        "step       align",
        "class      BAD_INPUT.TRUNCATED",
        "message    R2 ends in the middle of a record.",
        f"results    {cli_aws.RESULTS}",
        f"execution  {cli_aws.EXECUTION}",
    ]


def test_the_warnings_of_a_run_are_counted_in_the_list_and_shown(stack: Stack) -> None:
    stack.table.put_item(Item={**OLDER, "warnings": ["align: 12 names come twice.", "call: no variants."]})
    assert "SUCCEEDED, 2 warnings" in seqdrop("status")[1]
    lines = seqdrop("status", str(OLDER["run"]))[1].splitlines()
    assert "status     SUCCEEDED, 2 warnings" in lines
    assert lines[-2:] == ["warning    align: 12 names come twice.", "warning    call: no variants."]


def test_the_beginning_of_an_id_is_enough_for_one_run() -> None:
    assert OLDER["run"] in seqdrop("status", "01f")[1]


def test_the_beginning_of_two_ids_is_refused_with_both() -> None:
    code, output = seqdrop("status", "01")
    assert code == 1
    assert all(row["run"] in output for row in (OLDER, FAILED))


def test_an_unknown_run_is_refused() -> None:
    code, output = seqdrop("why", "zzz")
    assert (code, output) == (
        1,
        "There is no run zzz in stack seqdrop: `seqdrop status --stack seqdrop` lists all runs.\n",
    )


def test_every_page_of_the_table_is_read(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = stack.table.scan

    def scan_one(**request: Any) -> Any:
        return scan(Limit=1, **request)

    monkeypatch.setattr(stack.table, "scan", scan_one)
    assert json.loads(seqdrop("status", "--json")[1]) == [FAILED, OLDER]


def test_a_run_that_was_refused_cannot_be_stopped() -> None:
    code, output = seqdrop("stop", "01f")
    assert (code, output) == (1, f"Run {OLDER['run']} was not started: it was refused\n")


def test_a_run_without_an_execution_cannot_be_stopped() -> None:
    code, output = seqdrop("stop", "latest")
    assert (code, output) == (1, f"Run {cli_aws.RUN} has no execution: there is nothing to stop.\n")


def test_a_run_that_has_ended_cannot_be_stopped(stack: Stack) -> None:
    cli_aws.end_execution(stack, cli_aws.RUN, {})
    code, output = seqdrop("stop", "latest")
    assert (code, output) == (1, f"Run {cli_aws.RUN} has already ended (ABORTED): there is nothing to stop.\n")
