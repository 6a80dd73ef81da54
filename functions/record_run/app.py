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
from seqdrop.log import log_failure, logger
from seqdrop.plan import layout
from seqdrop.runs import executions, manifest, outcome, receipts, table
from seqdrop.runs.outcome import RunEnding
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

metrics = Metrics()
JUST_BEGUN = 0.25  # hours in which a reopened row may wait for its execution to be started


class NotRepairedError(Exception):
    """Lambda prints it and tries again; it names no run and no sample."""


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """From the machine's last state (`plan`), from EventBridge (`detail`), or on schedule (neither)."""
    if "plan" in event:
        return close(event["plan"], event["execution"])
    if "detail" in event and event["detail-type"] == "Step Functions Execution Status Change":
        return close_execution(told(EventBridgeEvent(event).detail))
    metrics.add_metric(name="MateWaitingHours", unit=MetricUnit.Count, value=longest_wait())
    return {"repaired": repair_all()}


def longest_wait() -> float:
    """Hours that the oldest of what waits has waited: a lone mate, a lane without the others."""
    return max((table.hours_since(row["started"]) for row in table.with_status(table.WAITING)), default=0.0)


def told(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event says of an execution what DescribeExecution says, but for an input too large for an event."""
    return detail if detail.get("input") else executions.describe(detail["executionArn"]) or detail


def repair_all() -> int:
    """How many runs were not recorded to their end, and are now; raises NotRepairedError after all were tried."""
    rows = [*table.with_status(table.RUNNING), *table.untold()]
    done = [repaired(row) for row in rows if "execution" in row]
    if None in done:
        raise NotRepairedError(f"{done.count(None)} of {len(done)} runs could not be recorded; the log says which")
    return sum(map(bool, done))


def repaired(row: table.Row) -> bool | None:
    """None for what failed: one bad run does not stop the repair of those behind it."""
    logger.append_keys(run=row["run"])
    try:
        return repair(row)
    except Exception as error:  # noqa: BLE001  the rim: it is raised again when all were tried
        log_failure("not repaired", error)
        return None


def repair(row: table.Row) -> bool:
    """A row that seems to run while its execution is over, or never began; or that nobody was told of."""
    execution = executions.describe(row["execution"])
    if execution and "untold" in row:
        return bool(close(json.loads(execution["input"]), row["execution"], RunEnding.of_row(row)))
    if execution:
        return bool(close_execution(execution))
    if table.hours_since(str(row.get("resumed") or row["started"])) < JUST_BEGUN:
        return False
    return never_began(row)


def never_began(row: table.Row) -> bool:
    """Close a row whose execution is not there; it is told of as a run that failed."""
    ending, nothing = outcome.not_there(), {"usd": 0.0}
    was = {"resumed": str(row["resumed"])} if "resumed" in row else {}  # whoever resumes it now notes that first
    if not closed(row["run"], row["execution"], ending, {"cost": "0.0"}, **was):
        return False
    folder = S3Uri.parse(row["results"])
    earlier = str(layout.manifest_uri(folder)) in receipts.published(folder)
    table.tell(row["run"], *manifest.message(row, ending, {}, nothing, earlier=earlier))
    return True


def close_execution(execution: Mapping[str, Any]) -> dict[str, str]:
    """Record an execution that did not record itself; an empty answer while it runs."""
    if execution["status"] == "RUNNING":
        return {}
    plan = json.loads(execution.get("output") or execution["input"])
    said = execution["status"], execution.get("error") or "", execution.get("cause") or ""
    return close(plan, execution["executionArn"], outcome.closed(*said))


def close(plan: Any, execution: str, ending: RunEnding | None = None) -> dict[str, str]:
    """Record the end of an execution, unless it is recorded, is not the run's own, or has a plan that is not."""
    if refused := outcome.misplaced(plan, os.environ["RESULTS_BUCKET"]):
        logger.error("not recorded", failure_class=refused.failure_class)
        return refused.answer()
    logger.append_keys(run=plan["run"])
    folder = S3Uri.parse(plan["results"])
    found = receipts.receipts(folder)
    there = receipts.published(folder)
    complete, verdicts = outcome.whole(found, there), receipts.verdicts(folder, there)
    ending = outcome.proven(ending or outcome.outcome(plan), found, complete, verdicts)
    # A crash between StartExecution and the row's first write is mended here.
    table.begin({"run": plan["run"], "sample": plan["sample"], "execution": execution, "results": str(folder)})
    cost = manifest.cost(found, float(os.environ["PRICE_PER_VCPU_HOUR"]), float(os.environ["PRICE_PER_GIB_HOUR"]))
    if closed(plan["run"], execution, ending, {**manifest.figures(found), "cost": str(cost["usd"])}):
        if ending.publishes:
            s3.write_json(layout.manifest_uri(folder), manifest.manifest(plan, execution, ending, complete, cost))
        earlier = str(layout.manifest_uri(folder)) in there
        table.tell(plan["run"], *manifest.message(plan, ending, found, cost, earlier=earlier))
    return ending.answer()


def closed(run: str, execution: str, ending: RunEnding, figures: Mapping[str, Any], **was: str) -> bool:
    """Close the row; True where its manifest and its message are still to be written, by whoever closed it so.

    The row first: of two that end a run in different ways at one time, one alone goes on to the manifest.
    """
    if not table.finish(run, execution, {**ending.row(), "finished": table.now(), **figures}, **was):
        return table.is_untold(run, execution=execution, status=ending.status)
    measure(run, ending, figures)
    logger.info("run recorded", status=ending.status, failure_class=ending.failure_class)  # sentences may name files
    return True


def measure(run: str, ending: RunEnding, figures: Mapping[str, Any]) -> None:
    """What the dashboard shows of a run that is over."""
    metrics.add_metric(name=f"Run{ending.status.title().replace('_', '')}", unit=MetricUnit.Count, value=1)
    if ending.publishes:
        metrics.add_metric(name="RunCost", unit=MetricUnit.NoUnit, value=float(figures["cost"]))
        metrics.add_metric(
            name="RunHours", unit=MetricUnit.NoUnit, value=table.hours_since((table.get(run) or {})["started"])
        )
