"""A run ended: its row, its manifest, its message. Once, however often and by whichever way it is told."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop import layout, record, runs, s3
from seqdrop.log import logger
from seqdrop.record import Ending
from seqdrop.uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

metrics = Metrics()


@cache
def step_functions() -> SFNClient:
    return boto3.client("stepfunctions", config=s3.RETRIES)


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """From the machine's last state (`plan`), from EventBridge (`detail`), or on schedule (neither)."""
    if "plan" in event:
        return close(event["plan"], event["execution"], record.outcome(event["plan"]))
    if "detail" in event and event["detail-type"] == "Step Functions Execution Status Change":
        return close_execution(told(EventBridgeEvent(event).detail))
    metrics.add_metric(name="MateWaitingHours", unit=MetricUnit.Count, value=longest_wait())
    return {"repaired": sum(repair(row) for row in runs.with_status(runs.RUNNING))}


def longest_wait() -> float:
    """Hours the oldest lone mate waits."""
    return max((runs.hours_since(row["started"]) for row in runs.with_status(runs.WAITING)), default=0.0)


def told(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event says of an execution what DescribeExecution says, but for an input too large for an event."""
    return detail if detail.get("input") else describe(detail["executionArn"])


def describe(arn: str) -> Mapping[str, Any]:
    return step_functions().describe_execution(executionArn=arn)


def repair(row: runs.Row) -> bool:
    """A row that seems to run while its execution is over: the event of its end was lost."""
    logger.append_keys(run=row["run"])
    try:
        execution = describe(row["execution"])
    except step_functions().exceptions.ExecutionDoesNotExist:  # forgotten 90 days after its end
        ending = Ending("FAILED", "INTERNAL", "Its execution ended unseen and is forgotten.")
        return runs.finish(row["run"], {**ending.row(), "finished": runs.now()})
    return bool(close_execution(execution))


def close_execution(execution: Mapping[str, Any]) -> dict[str, Any]:
    """Record an execution that did not record itself; an empty answer while it runs."""
    if execution["status"] == "RUNNING":
        return {}
    plan = json.loads(execution.get("output") or execution["input"])
    ending = record.closed(execution["status"], execution.get("error") or "", execution.get("cause") or "")
    return close(plan, execution["executionArn"], ending)


def close(plan: Mapping[str, Any], execution: str, ending: Ending) -> dict[str, Any]:
    logger.append_keys(run=plan["run"])
    results = S3Uri.parse(plan["results"])
    receipts = read_receipts(results)
    if ending.failure_class == "NOT_RECORDED":
        ending = record.found(receipts)
    cost = record.cost(receipts, float(os.environ["PRICE_PER_VCPU_HOUR"]), float(os.environ["PRICE_PER_GIB_HOUR"]))
    manifest = record.manifest(plan, execution, ending, receipts, cost)
    if ending.publishes:
        s3.write_json(layout.manifest_uri(results), manifest)
    # A crash between StartExecution and the row's first write is mended here.
    runs.begin({"run": plan["run"], "sample": plan["sample"], "execution": execution, "results": str(results)})
    if runs.finish(
        plan["run"], {**ending.row(), "finished": runs.now(), **record.figures(receipts), "cost": str(cost["usd"])}
    ):
        measure(plan["run"], ending, cost)
        runs.tell(*record.message(plan, ending, receipts, cost))
        logger.info("run recorded", status=ending.status, failure_class=ending.failure_class)
    return {"status": ending.status, "class": ending.failure_class, "message": ending.message}


def measure(run: str, ending: Ending, cost: Mapping[str, Any]) -> None:
    """What the dashboard shows of a run that is over."""
    metrics.add_metric(name=f"Run{ending.status.title().replace('_', '')}", unit=MetricUnit.Count, value=1)
    if ending.publishes:
        metrics.add_metric(name="RunCost", unit=MetricUnit.NoUnit, value=cost["usd"])
        metrics.add_metric(
            name="RunHours", unit=MetricUnit.NoUnit, value=runs.hours_since((runs.get(run) or {})["started"])
        )


def read_receipts(results: S3Uri) -> dict[str, Any]:
    receipts = {}
    for step in layout.STEPS:
        try:
            receipts[step] = s3.read_json(layout.receipt_uri(results, step))
        except s3.MissingError:
            continue
    return receipts
