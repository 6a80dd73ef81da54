"""A run ended: its row, its manifest, its message. Once, however often and by whichever way it is told."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop import executions, layout, outcome, record, results, runs, s3
from seqdrop.log import logger
from seqdrop.outcome import Ending, Receipts
from seqdrop.uri import S3Uri

metrics = Metrics()


JUST_BEGUN = 0.25  # hours in which a reopened row may wait for its execution to be started


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """From the machine's last state (`plan`), from EventBridge (`detail`), or on schedule (neither)."""
    if "plan" in event:
        return close(event["plan"], event["execution"])
    if "detail" in event and event["detail-type"] == "Step Functions Execution Status Change":
        return close_execution(told(EventBridgeEvent(event).detail))
    metrics.add_metric(name="MateWaitingHours", unit=MetricUnit.Count, value=longest_wait())
    return {"repaired": sum(repair(row) for row in runs.with_status(runs.RUNNING))}


def longest_wait() -> float:
    """Hours the oldest lone mate waits."""
    return max((runs.hours_since(row["started"]) for row in runs.with_status(runs.WAITING)), default=0.0)


def told(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event says of an execution what DescribeExecution says, but for an input too large for an event."""
    return detail if detail.get("input") else executions.describe(detail["executionArn"]) or detail


def repair(row: runs.Row) -> bool:
    """A row that seems to run while its execution is over, or never began."""
    logger.append_keys(run=row["run"])
    execution = executions.describe(row["execution"])
    if execution:
        return bool(close_execution(execution))
    if runs.hours_since(str(row.get("resumed") or row["started"])) < JUST_BEGUN:
        return False
    return finish(row, row["execution"], outcome.not_there(), {}, {"usd": 0.0})


def close_execution(execution: Mapping[str, Any]) -> dict[str, str]:
    """Record an execution that did not record itself; an empty answer while it runs."""
    if execution["status"] == "RUNNING":
        return {}
    plan = json.loads(execution.get("output") or execution["input"])
    said = execution["status"], execution.get("error") or "", execution.get("cause") or ""
    return close(plan, execution["executionArn"], outcome.closed(*said))


def close(plan: Any, execution: str, ending: Ending | None = None) -> dict[str, str]:
    """Record the end of an execution, unless it is recorded, is not the run's own, or has a plan that is not."""
    if refused := outcome.misplaced(plan, os.environ["RESULTS_BUCKET"]):
        logger.error("not recorded", failure_class=refused.failure_class)
        return refused.answer()
    logger.append_keys(run=plan["run"])
    folder = S3Uri.parse(plan["results"])
    receipts = results.receipts(folder)
    there = results.published(folder)
    complete, verdicts = outcome.whole(receipts, there), results.verdicts(there)
    ending = outcome.proven(ending or outcome.outcome(plan), receipts, complete, verdicts)
    # A crash between StartExecution and the row's first write is mended here.
    runs.begin({"run": plan["run"], "sample": plan["sample"], "execution": execution, "results": str(folder)})
    row = runs.get(plan["run"]) or {}
    is_closed = row["status"] != runs.RUNNING and "untold" not in row
    if is_closed or row["execution"] != execution:  # told before, or the run goes on in another
        return ending.answer()
    cost = record.cost(receipts, float(os.environ["PRICE_PER_VCPU_HOUR"]), float(os.environ["PRICE_PER_GIB_HOUR"]))
    if ending.publishes:
        s3.write_json(layout.manifest_uri(folder), record.manifest(plan, execution, ending, complete, cost))
    finish(plan, execution, ending, receipts, cost)
    return ending.answer()


def finish(
    plan: Mapping[str, Any], execution: str, ending: Ending, receipts: Receipts, cost: Mapping[str, Any]
) -> bool:
    """Close the row and tell of it, unless both are done. Logs name the class alone: sentences may name files."""
    figures = {**record.figures(receipts), "cost": str(cost["usd"])}
    if runs.finish(plan["run"], execution, {**ending.row(), "finished": runs.now(), **figures}):
        measure(plan["run"], ending, cost)
    elif not runs.is_untold(plan["run"]):
        return False
    runs.tell(plan["run"], *record.message(plan, ending, receipts, cost))
    logger.info("run recorded", status=ending.status, failure_class=ending.failure_class)
    return True


def measure(run: str, ending: Ending, cost: Mapping[str, Any]) -> None:
    """What the dashboard shows of a run that is over."""
    metrics.add_metric(name=f"Run{ending.status.title().replace('_', '')}", unit=MetricUnit.Count, value=1)
    if ending.publishes:
        metrics.add_metric(name="RunCost", unit=MetricUnit.NoUnit, value=cost["usd"])
        metrics.add_metric(
            name="RunHours", unit=MetricUnit.NoUnit, value=runs.hours_since((runs.get(run) or {})["started"])
        )
