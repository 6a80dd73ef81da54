"""Budgets"""

from __future__ import annotations

from seqdrop.runs import attempts, cost
from seqdrop_cli.resume import resume
from seqdrop_cli.stack import Stack
from support.catalogue import case
from support.pipeline_runs import Sample, fetch_json, inject, keys, upload_pair, wait_for_end, wait_for_row


@case(
    happens="The jobs of a run have cost its budget (`MaxRunCost`, or `--max-cost` of the run).",
    see="`ABORTED`, `BUDGET`, with what the jobs have cost. No results; the outputs of finished steps are kept.",
    does="Adds up the attempts of all jobs when one starts or ends, and every hour. Stops the run with its jobs.",
    do="`seqdrop cost RUN` shows the attempts. `seqdrop resume RUN --max-cost USD` continues it, "
    "up to `MaxRunCost`, which the owner of the stack can raise.",
)
def test_a_run_that_has_cost_its_budget_is_stopped_and_continues_with_a_higher_one(
    stack: Stack, sample: Sample
) -> None:
    late = {"service": "s3", "operation": "PutObject", "key": "*/DEAR.vcf.gz", "fault": "delay", "seconds": 60}
    with inject(stack, late):  # the run must not end before it is stopped
        upload_pair(stack, sample.small_pair, "DEAR", **{"max-cost": "0.0003"})  # more than one job, less than two
        stopped = wait_for_end(stack, "DEAR")
    assert (stopped["status"], stopped["class"]) == ("ABORTED", "BUDGET")
    assert stopped["message"].startswith("The run was stopped: its jobs have cost")
    assert "jobs/align.json" in keys(stack, stopped)
    before = fetch_json(stack, stopped, "jobs/align.json")
    resume(stack, stopped, max_cost="5")
    row = wait_for_row(stack, "DEAR")
    assert (row["run"], row["status"], row["max_cost"]) == (stopped["run"], "SUCCEEDED", "5")
    assert fetch_json(stack, row, "jobs/align.json") == before
    rows = attempts.of_run(row["run"], stack.attempts)
    assert len(rows) > 6, "those before and after the stop"
    assert float(row["cost"]) == float(cost.total(rows))
