"""`seqdrop cost`, `estimate` and `suggest`: sums of attempts, estimates before runs, sizes of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from seqdrop.runs.dynamodb import Table
from seqdrop_cli import stack as stacks
from seqdrop_cli.app import app
from seqdrop_cli.stack import Stack
from support import cli_aws
from support.function_aws import parameters
from typer.testing import CliRunner

TOOLS = {"reference": "hg", "aligner": "bwa_mem3", "caller": "bcftools"}
ATTEMPTS = (  # run, step, queue, USD; None: it runs
    ("a1", "align", "normal", "0.000017"),
    ("a1", "align", "last-resort", "0.000120"),
    ("a1", "call", "normal", "0.000008"),
    ("b2", "align", "normal", "1.250000"),
    ("b2", "call", "normal", None),
)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Three runs of two samples; the oldest one is of a version without rows of attempts."""
    with cli_aws.stack() as without:
        outputs = {**without.outputs, "JobQueues": "arn:queue/normal,arn:queue/high"}
        stack = replace(without, outputs=outputs, parameters=parameters())
        times = {"started": "2026-03-01T10:00:00Z", "finished": "2026-03-01T10:30:00Z"}
        for run, sample, cost, estimated in (("a1", "S1", "0.000145", "0.0002"), ("b2", "S2", "1.25", "1.00")):
            row = {"run": run, "sample": sample, "status": "SUCCEEDED", "cost": cost, **TOOLS, **times}
            kept = {"fastq_bytes": 1000, "estimated_usd": estimated, "estimated_hours": "1", "estimated_from": "2 runs"}
            stack.table.put_item(Item={**row, **kept, "form": "split", "alignment_format": "bam"})
        old = {"run": "c3", "sample": "S1", "status": "SUCCEEDED", "cost": "0.5", **TOOLS, **times}
        stack.table.put_item(Item={**old, "started": "2026-01-01T10:00:00Z"})
        for number, (run, step, queue, usd) in enumerate(ATTEMPTS):
            write_attempt(stack.attempts, run, step, queue, usd, number)
        monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
        yield stack


def write_attempt(table: Table, run: str, step: str, queue: str, usd: str | None, number: int) -> None:
    row: dict[str, Any] = {"run": run, "attempt": f"job{number}.1", "step": step, "queue": queue, "vcpus": 2}
    row |= {"memory": 2048, "number": 1, "try": 1, "job_id": f"job{number}", "started": f"2026-03-01T10:0{number}:00Z"}
    ended = {"usd": Decimal(usd or 0), "seconds": 36, "price": "assumed rates", "status": "SUCCEEDED"}
    used = {"peak_memory": 300, "cpu_seconds": 30, "scratch": 5}
    table.put_item(Item={**row, **({**ended, **used} if usd else {"status": "RUNNING"})})


def call(*words: str) -> tuple[Any, list[str]]:
    """Run a command with --json; return its document and its messages without double blanks."""
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), [" ".join(line.split()) for line in result.stderr.splitlines()]


@pytest.mark.parametrize("by", ["sample", "step", "queue"])
def test_the_sums_of_each_group_add_up_to_the_rows(stack: Stack, by: str) -> None:
    document, messages = call("cost", "--by", by)
    rows = [Decimal(usd) for *_, usd in ATTEMPTS if usd]
    total = sum(rows, Decimal("0.5"))
    groups = document["by"][by]
    assert sum(Decimal(str(group["usd"])) for group in groups.values()) == total
    assert Decimal(str(document["usd"])) == total
    assert (document["runs"], document["running"], document["estimated"]) == (3, 1, True)
    assert messages[-1] == "Together: $1.75 (estimated); 1 attempt without a price yet, still running"


def test_the_cost_of_a_run_is_that_of_its_attempts(stack: Stack) -> None:
    document, messages = call("cost", "a1")
    assert messages[0] == "step try number queue instance queued time peak exit class price"
    assert messages[1] == "align 1 1 normal 36 s 300 of 2048 MiB $0.000017"
    assert messages[-1] == "Together: $0.000145 (estimated)"
    assert [row["usd"] for row in document["attempts"]] == [0.000017, 0.00012, 0.000008]
    assert document["by"]["step"]["align"] == {"attempts": 2, "failed": 0, "hours": 0.02, "usd": 0.000137}


def test_runs_are_selected_by_time_and_listed_with_their_samples(stack: Stack) -> None:
    document, messages = call("cost", "--since", "2026-02-01")
    assert list(document["by"]["run"]) == ["b2", "a1"]
    assert messages[1:3] == ["b2 S2 1 0 0.01 $1.25", "a1 S1 3 0 0.03 $0.000145"]
    result = CliRunner().invoke(app, ["cost", "a1", "--since", "2d"])
    assert (result.exit_code, "--since selects from all runs" in result.output) == (1, True)


def test_the_estimate_of_samples_has_the_error_of_earlier_ones(stack: Stack, tmp_path: Path) -> None:
    for mate in ("N1_R1.fastq.gz", "N1_R2.fastq.gz"):
        (tmp_path / mate).write_bytes(b"x" * 1000)
    document, messages = call("estimate", str(tmp_path), "--reference", "hg")
    [sample] = document["samples"]
    assert (sample["sample"], sample["fastq_bytes"], sample["from"]) == ("N1", 2000, "2 earlier runs")
    assert (sample["usd"], sample["hours"]) == (pytest.approx(1.250145), pytest.approx(1.0))
    assert document["median_error"] == pytest.approx((0.2 + 0.0002 / 0.000145 - 1) / 2)
    assert messages[-1] == "Median error of the price in the last 2 runs: 29%, of the time 100%."
    document, _ = call("estimate", str(tmp_path), "--reference", "hg", "--alignment-format", "cram")
    assert document["samples"][0]["from"] == "2 earlier runs of another form or format"
    document, _ = call("estimate", str(tmp_path), "--reference", "hg", "--form", "fused")
    assert document["samples"][0]["from"] == "2 earlier runs of another form or format"


def test_without_earlier_runs_the_estimate_is_made_of_the_sizes_and_prices_of_the_stack(
    stack: Stack, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("sample,fastq_1,fastq_2,caller\nN1,a_1.fq.gz,a_2.fq.gz,strelka\nN2,b_1.fq.gz,b_2.fq.gz,\n")
    for name in ("a_1.fq.gz", "a_2.fq.gz", "b_1.fq.gz", "b_2.fq.gz"):
        (tmp_path / name).write_bytes(b"x")
    document, messages = call("estimate", str(sheet), "--reference", "hg")
    assert any("Nobody has compared the model of docs/sizing.md with AWS" in message for message in messages)
    first, second = document["samples"]
    assert (first["from"], second["from"]) == ("docs/sizing.md", "2 earlier runs")
    assert (first["hours"], first["usd"] > 0) == (pytest.approx((4 * 90 + 54 + 60) / 3600, abs=1e-4), True)


def test_a_sheet_with_single_end_reads_and_a_bam_is_estimated(stack: Stack, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("sample,fastq_1,fastq_2,bam,layout\nN1,a.fq.gz,,,single\n")
    (tmp_path / "a.fq.gz").write_bytes(b"x" * 7)
    assert call("estimate", str(sheet), "--reference", "hg")[0]["samples"][0]["fastq_bytes"] == 7
    sheet.write_text("sample,bam\nN1,a.bam\n")
    (tmp_path / "a.bam").write_bytes(b"x" * 9)
    assert call("estimate", str(sheet), "--reference", "hg")[0]["samples"][0]["fastq_bytes"] == 9


def test_small_fastqs_are_estimated_as_a_fused_run_and_a_bam_is_not(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both earlier runs had a job for each step."""
    outputs, settings = {**stack.outputs, "ImageTags": "bwa:1 fused:2"}, {"Form": "auto", "FusedLimitMib": "1"}
    fusing = replace(stack, outputs=outputs, parameters={**stack.parameters, **settings})
    monkeypatch.setattr(stacks, "open_stack", lambda *_: fusing)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("sample,fastq_1,fastq_2,bam\nN1,a.fq.gz,b.fq.gz,\nN2,,,c.bam\nN3,d.fq.gz,e.fq.gz,\n")
    for name, size in (("a.fq.gz", 9), ("b.fq.gz", 9), ("c.bam", 9), ("d.fq.gz", 2 << 20), ("e.fq.gz", 9)):
        (tmp_path / name).write_bytes(b"x" * size)
    small, bam, large = (sample["from"] for sample in call("estimate", str(sheet), "--reference", "hg")[0]["samples"])
    assert small == "2 earlier runs of another form or format"
    assert (bam, large) == ("2 earlier runs", "2 earlier runs")


def test_the_last_runs_are_compared_with_the_estimates_made_before_them(stack: Stack) -> None:
    document, messages = call("estimate", "--history")
    assert [run["run"] for run in document["runs"]] in (["a1", "b2"], ["b2", "a1"])
    second = next(run for run in document["runs"] if run["run"] == "b2")
    assert (second["estimated_usd"], second["usd"], second["error"], second["hours"]) == (1.0, 1.25, 0.2, 0.5)
    assert "b2 S2 1 kB $1.00 $1.25 20% 1 h 00 min 30 min 00 s 2 runs" in messages
    result = CliRunner().invoke(app, ["estimate"])
    assert (result.exit_code, "or --history alone" in result.output) == (1, True)


def test_a_run_that_would_be_refused_has_no_estimate(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "N1_R1.fastq.gz").write_bytes(b"x" * 1000)
    (tmp_path / "N1_R2.fastq.gz").write_bytes(b"x" * 1000)
    for chosen in (["--form", "fused", "--aligner", "isaac"], ["--form", "scattered", "--caller", "strelka"]):
        result = CliRunner().invoke(app, ["estimate", str(tmp_path), "--reference", "hg", *chosen])
        assert (result.exit_code, "The run of N1 would be refused: " in result.output) == (1, True)


def test_suggestions_are_parameters_of_the_stack(stack: Stack) -> None:
    for number in range(10, 13):
        write_attempt(stack.attempts, "a1", "align", "normal", "0.1", number)
    document, messages = call("suggest")
    assert document["parameters"] == {"AlignMemory": "512"}
    assert f"AlignMemory=512 (now {stack.parameters['AlignMemory']})" in messages
    align = next(step for step in document["steps"] if step["step"] == "align")
    assert (align["attempts"], align["peak_memory"], align["minutes"]) == (6, 300, 0.6)
