"""Record the end of a run once: its row, its manifest, its message. Every call can be repeated."""

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
from seqdrop.plan import steps
from seqdrop.plan.names import MANIFEST
from seqdrop.runs import commands, executions, manifest, notify, outcome, queues, receipts, table
from seqdrop.runs.cost import HOURS_PER_MONTH, Prices, Rates
from seqdrop.runs.manifest import RunRecord
from seqdrop.runs.outcome import RunEnding
from seqdrop.runs.receipts import ResultsFolder
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

metrics = Metrics()
START_PERIOD = 0.25  # hours that a row may wait for its execution to start


class NotRepairedError(Exception):
    """Lambda logs it and retries. The message names no run and no sample."""


@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Handle a call of the state machine (`plan`), an event of EventBridge (`detail`), or the hourly schedule."""
    if "plan" in event:
        return close(event["plan"], event["execution"])
    if "detail" in event and event["detail-type"] == "Step Functions Execution Status Change":
        return close_execution(with_input(EventBridgeEvent(event).detail))
    metrics.add_metric(name="MateWaitingHours", unit=MetricUnit.Count, value=longest_wait())
    repaired = repair_all()
    # last: an error of Batch must not stop the repair
    metrics.add_metric(name="JobsBlockedHours", unit=MetricUnit.Count, value=queues.longest_wait(job_queues()))
    return {"repaired": repaired}


def longest_wait() -> float:
    """Return the hours that the oldest lone mate has waited, or lanes after the end of their quiet time."""
    rows = table.with_status(table.WAITING)
    return max([0.0, *(table.hours_since(row.get("quiet_until") or row["started"]) for row in rows)])


def with_input(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the detail of a status event; it lacks the input of an execution that is too large for an event."""
    return detail if detail.get("input") else executions.describe(detail["executionArn"]) or detail


def repair_all() -> int:
    """Record every ended run that is not recorded; return their number. Raises NotRepairedError after all."""
    rows = [*table.with_status(table.RUNNING), *table.with_notify_pending()]
    repaired = [try_repair(row) for row in rows if "execution" in row]
    if None in repaired:
        failed = repaired.count(None)
        raise NotRepairedError(f"{failed} of {len(repaired)} runs could not be recorded; the log has the errors")
    return sum(map(bool, repaired))


def try_repair(row: table.Row) -> bool | None:
    """Repair one run; return None if it failed, so that a bad run does not stop the next ones."""
    logger.append_keys(run=row["run"])
    try:
        return repair(row)
    except Exception as error:  # noqa: BLE001  reported as NotRepairedError after all rows
        log_failure("repair failed", error)
        return None


def repair(row: table.Row) -> bool:
    """Record a run whose execution has ended or never began, or whose notification is pending."""
    execution = executions.describe(row["execution"])
    if execution and "notify_pending" in row:
        return bool(close(json.loads(execution["input"]), row["execution"], RunEnding.from_row(row)))
    if execution:
        return bool(close_execution(execution))
    if table.hours_since(str(row.get("resumed") or row["started"])) < START_PERIOD:
        return False
    return close_not_started(row)


def close_not_started(row: table.Row) -> bool:
    """Record a run whose execution does not exist as failed."""
    folder = receipts.read_folder(S3Uri.parse(row["results"]), ())
    run_record = manifest.record(row, row["execution"], outcome.not_started(), folder, prices())
    resumed = {"resumed": str(row["resumed"])} if "resumed" in row else {}  # resuming it changes this first
    return write(row["run"], row["execution"], row["results"], run_record, **resumed)


def close_execution(execution: Mapping[str, Any]) -> dict[str, str]:
    """Record an execution that did not record itself; return nothing while it is running."""
    if execution["status"] == "RUNNING":
        return {}
    plan = json.loads(execution.get("output") or execution["input"])
    ending = outcome.from_execution(execution["status"], execution.get("error") or "", execution.get("cause") or "")
    return close(plan, execution["executionArn"], ending)


def close(plan: Any, execution: str, reported: RunEnding | None = None) -> dict[str, str]:
    """Record the end of an execution, unless it is recorded or its plan is invalid."""
    if refused := outcome.check_plan(plan, os.environ["RESULTS_BUCKET"]):
        logger.error("plan refused", failure_class=refused.failure_class)
        return refused.answer()
    logger.append_keys(run=plan["run"])
    folder: ResultsFolder = receipts.read_folder(
        S3Uri.parse(plan["results"]), steps.of_plan(plan), plan.get("parts", 0)
    )
    run_record = manifest.record(plan, execution, reported or outcome.from_plan(plan), folder, prices())
    # This row is missing after a crash between StartExecution and its first write.
    row = {name: plan[name] for name in ("run", "sample", "results", "lanes", "kind") if name in plan}
    row["execution"] = execution
    table.create(row)
    write(plan["run"], execution, plan["results"], run_record)
    return commands.complete_all(run_record.ending.answer(), plan["run"])


def write(run: str, execution: str, results: str, run_record: RunRecord, **expected: str) -> bool:
    """Write the row, the manifest and the message; return False if another caller has closed the row differently.

    The row is first: of two callers that end a run in different ways, only one goes on to the manifest. The next
    caller with the same ending repeats the rest while the notification is pending.
    """
    ending = run_record.ending
    row = commands.complete_all(run_record.row, run)
    if table.close(run, execution, {**row, "finished": table.now()}, **expected):
        measure(run, ending, run_record.row)
        logger.info("run recorded", status=ending.status, failure_class=ending.failure_class)  # messages may name files
    elif not table.is_notify_pending(run, execution=execution, status=ending.status):
        return False
    if run_record.manifest:
        s3.store().write_json(S3Uri.parse(results) / MANIFEST, run_record.manifest)
    notify.send(run, run_record.subject, run_record.lines)
    return True


def measure(run: str, ending: RunEnding, row: Mapping[str, Any]) -> None:
    """Add the metrics of the dashboard."""
    metrics.add_metric(name=f"Run{ending.status.title().replace('_', '')}", unit=MetricUnit.Count, value=1)
    if ending.publishes:
        metrics.add_metric(name="RunCost", unit=MetricUnit.NoUnit, value=float(row["cost"]))
        started = (table.get(run) or {})["started"]
        metrics.add_metric(name="RunHours", unit=MetricUnit.NoUnit, value=table.hours_since(started))


def prices() -> Prices:
    """Return the prices that the deployment assumes."""
    names = ("PRICE_PER_VCPU_HOUR", "PRICE_PER_GIB_HOUR")
    scratch_month = float(os.environ["SCRATCH_SIZE"]) * float(os.environ["PRICE_PER_SCRATCH_GIB_MONTH"])
    return Prices(
        spot=Rates(*(float(os.environ[f"SPOT_{name}"]) for name in names)),
        on_demand=Rates(*(float(os.environ[f"ON_DEMAND_{name}"]) for name in names)),
        spot_queue=os.environ["NORMAL_QUEUE"] if os.environ["SPOT_SHARE"] == "first" else "",
        usd_per_scratch_hour=scratch_month / HOURS_PER_MONTH,
    )


def job_queues() -> list[str]:
    """Return the ARNs of the queues of this deployment."""
    return os.environ["JOB_QUEUES"].split()
