"""`seqdrop joint`: the runs that it chooses, what it asks of start_run, and its messages."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seqdrop.plan.choices import Choices
from seqdrop_cli import fetch, joint, run
from seqdrop_cli.errors import CliError
from seqdrop_cli.stack import Stack
from support import cli_aws

JOINED = "f" * 20
ANY = Choices()


class StartRun:
    """The function start_run with one answer; without an outcome it fails."""

    def __init__(self, **outcome: str) -> None:
        self.outcome = outcome
        self.asked: list[dict[str, Any]] = []

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803  names in boto3
        assert FunctionName == "start_run"
        self.asked.append(json.loads(Payload)["joint"])
        if not self.outcome:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b"{}")}
        return {"Payload": io.BytesIO(json.dumps({"outcomes": [self.outcome]}).encode())}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with cli_aws.stack() as stack:
        rows = [("a1", "A", "SUCCEEDED", 1), ("a2", "A", "INCOMPLETE", 2), ("a3", "A", "FAILED", 3),
                ("b1", "B", "SUCCEEDED", 1), ("c1", "C", "FAILED", 1)]  # fmt: skip
        for name, sample, status, day in rows:
            put(stack, name, sample=sample, status=status, started=f"2026-03-0{day}T10:00:00Z")
        put(stack, "ab", sample="A-B", status="SUCCEEDED", started="2026-03-04T10:00:00Z", kind="joint")
        yield stack


def put(stack: Stack, name: str, **attributes: str) -> None:
    stack.table.put_item(Item={"run": name, "results": f"s3://results/x/{name}", **attributes})


def ask(
    stack: Stack, *texts: str, name: str = "", folder: Path = Path("results"), chosen: Choices = ANY, **answer: str
) -> StartRun:
    function = StartRun(**answer)
    vars(stack)["functions"] = function
    joint.run_joint(stack, texts, name, chosen, folder)
    return function


def test_the_newest_run_with_results_of_each_sample_is_joined_and_its_results_are_downloaded(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(stack, JOINED, sample="A-B", status="RUNNING", kind="joint", execution="arn")
    followed, row = [], {"run": JOINED, "sample": "A-B", "status": "SUCCEEDED", "warnings": ["join: look"]}
    monkeypatch.setattr(run, "follow_run", lambda *words: (followed.append(words[1:]), (row, []))[1])
    fetched: list[Any] = []
    monkeypatch.setattr(fetch, "fetch", lambda *words: fetched.append(words[1:]))
    chosen = Choices("hg", priority="high", max_cost="7")
    function = ask(stack, "A", "b1", folder=tmp_path, chosen=chosen, outcome="started", run=JOINED)
    choices = {"reference": "hg", "priority": "high", "max_cost": "7"}
    assert function.asked == [{"name": "A-B", "runs": ["a2", "b1"], **choices}]
    assert (followed, fetched) == ([(JOINED, "arn")], [([row], tmp_path)])
    assert capsys.readouterr().out.splitlines() == [f"Run {JOINED}: 2 samples as A-B", "Warning from join: look"]


@pytest.mark.parametrize(
    ("texts", "name", "answer", "message"),
    [
        (
            ["A", "C"],
            "",
            {},
            "C: no run has this id, and no sample of this name has results. "
            "`seqdrop status --stack seqdrop` lists all.",
        ),
        (["A", "B"], "C", {}, "C is a sample with runs of its own: give the joint run another --name."),
        (
            ["A", "B"],
            "",
            {"outcome": "refused", "reason": "run b1 of B has published no gvcf"},
            "These samples cannot be joined: run b1 of B has published no gvcf.",
        ),
        (
            ["A", "B"],
            "",
            {},
            "The joint run could not be started: see the log of the function start_run, then try again.",
        ),
        (
            ["A", "B"],
            "",
            {"outcome": "duplicate", "run": "c1"},
            "\nThese samples were joined before, as run c1, which failed: `seqdrop resume c1 --stack seqdrop`.",
        ),
    ],
)
def test_what_cannot_be_joined_is_one_sentence(
    stack: Stack, tmp_path: Path, texts: list[str], name: str, answer: dict[str, str], message: str
) -> None:
    with pytest.raises(CliError) as raised:
        ask(stack, *texts, name=name, folder=tmp_path, **answer)
    assert str(raised.value) == message


def test_a_budget_above_the_limit_of_the_stack_is_refused(stack: Stack, tmp_path: Path) -> None:
    object.__setattr__(stack, "parameters", {"MaxRunCost": "5"})
    with pytest.raises(CliError, match=r"^--max-cost: a budget of \$7\.00 is above the limit of this stack, \$5\.00: "):
        ask(stack, "A", "B", folder=tmp_path, chosen=Choices(max_cost="7"))


def test_long_ids_need_a_name(stack: Stack, tmp_path: Path) -> None:
    for letter in "xy":
        put(stack, letter, sample=letter * 40, status="SUCCEEDED", started="2026-03-01T10:00:00Z")
    with pytest.raises(CliError, match="give the joint run one with --name"):
        ask(stack, "x", "y", folder=tmp_path)
