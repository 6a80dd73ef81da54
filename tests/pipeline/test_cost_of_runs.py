"""The attempts of the jobs of a run: a row for each, from real events; their sum is the price of the run."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from seqdrop.plan import steps
from seqdrop.runs import attempts, cost
from seqdrop.runs.prices import RATES
from seqdrop_cli import stack as stacks
from seqdrop_cli.stack import Stack
from support.cli_aws import seqdrop
from support.pipeline_runs import Sample, fetch_json, run_pair


def test_every_attempt_has_a_row_and_the_price_of_the_run_is_their_sum(
    stack: Stack, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = run_pair(stack, sample.small_pair, "COST")
    rows = attempts.of_run(row["run"], stack.attempts)
    assert Counter(one["step"] for one in rows) == dict.fromkeys(steps.names(), 1)
    for one in rows:
        assert (one["status"], one["exit"], one["queue"], one["price"]) == (
            "SUCCEEDED",
            0,
            "seqdrop-DefaultJobQueue",
            RATES,
        )
        assert min(one["seconds"], one["peak_memory"], one["bytes_in"], one["bytes_out"], one["usd"]) > 0
        assert one["queued"] >= 0
    manifest = fetch_json(stack, row, "manifest.json")
    assert Decimal(row["cost"]) == cost.total(rows) == Decimal(str(manifest["cost"]["usd"]))
    assert float(row["estimated_usd"]) > 0
    monkeypatch.setattr(stacks, "open_stack", lambda *_: stack)
    for by in ("sample", "step", "queue"):
        code, output = seqdrop("cost", "COST", "--by", by)
        assert (code, f"Together: ${float(row['cost']):.6f} (estimated)" in output) == (0, True), output
