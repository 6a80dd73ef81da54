from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from seqdrop.runs import table
from seqdrop_cli import run_table, screen, status
from seqdrop_cli import stack as stacks
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
        monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
        yield stack


def in_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Let the commands print as in a terminal of this width."""
    monkeypatch.setattr(screen, "PIPE_WIDTH", width)


def test_the_newest_run_is_listed_first() -> None:
    code, output = seqdrop("status")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["run", FAILED["run"], OLDER["run"]]
    assert " 3m " in output


def ago(**time: float) -> str:
    """Return the time that was so many hours, days or minutes ago, as rows have it."""
    return (datetime.now(UTC) - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


DONE = {
    "run": "02aabbccddeeff001122",
    "sample": "NA12878",
    "status": "SUCCEEDED",
    "execution": cli_aws.EXECUTION,
    "started": "2026-03-02T10:00:00Z",
    "finished": "2026-03-02T12:18:00Z",
    "reference": "hg38",
    "lanes": 4,
    "reads": 842_123_456,
    "typical_depth": 31,
    "variants": 4_123_456,
    "cost": "3.1234",
}


def test_the_list_has_the_facts_of_each_run_in_80_columns(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    in_terminal(monkeypatch, 80)
    cheap = {"run": "03" + "f" * 18, "sample": "S3", "started": ago(minutes=20), "cost": "0.0004"}
    stack.table.put_item(Item={**DONE, "started": ago(days=3, hours=2.3), "finished": ago(days=3)})
    stack.table.put_item(Item={**DONE, **cheap, "finished": ago(minutes=19), "warnings": ["call: few."]})
    stack.table.put_item(Item={**cheap, "run": "waiting-0123456789ab", "status": "WAITING", "sample": "S" * 30})
    lines = seqdrop("status")[1].splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert lines[0].split() == list(status.COLUMNS)
    texts = [" ".join(line.split()) for line in lines]
    assert "02aabbcc NA12878 SUCCEEDED 4 842M 31x 4.12M 2.3h $3.12 hg38 3d" in texts
    row = texts.index("03ffffff S3 SUCCEEDED, 4 842M 31x 4.12M 1m < $0.01 hg38 20m")
    assert texts[row + 1] == "1 warning"
    assert any(text.startswith("waiting-0123 SSS") for text in texts)


def test_whole_ids_are_listed_where_they_have_place(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.table.put_item(Item=DONE)
    for width, length in ((119, 8), (120, 20)):
        in_terminal(monkeypatch, width)
        assert len(seqdrop("status")[1].splitlines()[1].split()[0]) == length


def test_a_sample_lists_its_runs_and_since_and_failed_select(stack: Stack) -> None:
    again = {**DONE, "run": "03" + "f" * 18, "sample": "S1", "started": "2026-03-03T10:00:00Z"}
    for row in (DONE, again):
        stack.table.put_item(Item=row)

    def runs(*words: str) -> list[str]:
        return [row["run"] for row in json.loads(seqdrop("status", *words, "--json")[1])]

    assert runs("S1") == [again["run"], FAILED["run"]]
    assert runs("S1", "--failed") == runs("--failed") == [FAILED["run"]]
    assert runs("S1", "--since", "2026-03-02") == [again["run"]]
    assert runs("--since", "2026-03-02") == [again["run"], DONE["run"]]
    assert runs("--since", "3000-01-01") == []
    for hours, row in ((2, DONE), (30, again)):
        stack.table.put_item(Item={**row, "started": ago(hours=hours)})
    assert runs("--since", "3h") == runs("--since", "180m") == runs("--since", "1d") == [DONE["run"]]
    assert runs("--since", "2d") == runs("--since", "1w") == [DONE["run"], again["run"]]


def test_commands_find_the_newest_run_of_a_sample(stack: Stack) -> None:
    waiting = {"run": "waiting-0123456789ab", "sample": "S1", "status": "WAITING", "started": "2026-03-04T10:00:00Z"}
    stack.table.put_item(Item={**FAILED, "run": "09" + "f" * 18, "started": "2026-01-01T10:00:00Z"})
    stack.table.put_item(Item={**waiting, "message": "S1_R2 is missing"})
    assert run_table.find(stack, "S1")["run"] == FAILED["run"]  # newer than the other run; the file is no run
    assert "BAD_INPUT.TRUNCATED in align" in seqdrop("why", "S1")[1]
    stack.table.put_item(Item={**waiting, "run": "waiting-9", "sample": "S9", "message": "S9_R2 is missing"})
    assert "S9_R2 is missing" in seqdrop("why", "S9")[1]


@pytest.mark.parametrize("words", [[cli_aws.RUN], ["latest"], ["0123"]])
def test_since_and_failed_are_refused_for_one_run(words: list[str]) -> None:
    for option in (["--failed"], ["--since", "2d"]):
        code, output = seqdrop("status", *words, *option)
        assert (code, "--since and --failed select from a list of runs" in output) == (1, True)


def test_a_time_that_cannot_be_read_is_refused() -> None:
    assert seqdrop("status", "--since", "yesterday") == (
        1,
        "--since 'yesterday': expected a time such as 2d, 3h, 30m, 1w or 2026-03-01.\n",
    )


def test_the_list_reads_a_page_of_each_status_and_not_the_table(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(120):
        day = {"started": f"2026-04-{number // 5 + 1:02}T10:00:00Z"}
        stack.table.put_item(Item={**DONE, **day, "run": f"{number:020}"})
    read: list[int] = []
    query = stack.table.query

    def count(**request: Any) -> Any:
        answer = query(**request)
        read.append(answer["Count"])
        return answer

    monkeypatch.setattr(stack.table, "query", count)
    monkeypatch.setattr(stack.table, "scan", None)
    output = seqdrop("status")[1]
    assert (len(output.splitlines()), "... and older ones" in output) == (22, True)
    assert sum(read) <= 30


def test_a_table_without_the_index_is_named(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> Any:
        message = "The table does not have the specified index: by_sample"
        raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "Query")

    monkeypatch.setattr(stack.table, "query", fail)
    code, output = seqdrop("why", "S1")
    assert code == 1
    assert output.startswith("The run table of stack seqdrop has no index by sample: deploy this version")


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
        "Stack seqdrop has no run or sample zzz: `seqdrop status --stack seqdrop` lists the runs. (The beginning of an "
        "id finds only one of the newest 1,000 runs.)\n",
    )


def test_every_page_of_the_table_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PAGE", 1)
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
