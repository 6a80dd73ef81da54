"""Record the attempts of jobs, and the end of a run once: row, manifest, message. Every call can be repeated."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop.log import log_failure, logger
from seqdrop.plan import steps
from seqdrop.plan.names import MANIFEST
from seqdrop.runs import (
    attempts,
    budget,
    commands,
    console,
    cost,
    executions,
    manifest,
    notify,
    outcome,
    prices,
    queues,
    receipts,
    table,
)
from seqdrop.runs.manifest import RunRecord
from seqdrop.runs.outcome import RunEnding
from seqdrop.runs.receipts import ResultsFolder
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri

metrics = Metrics()
# The attributes of a row that the plan has too.
OF_PLAN = ("run", "sample", "results", "lanes", "kind", "form", "parts", "aligner", "caller", "alignment_format")
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
        return close_execution(with_input(event["detail"]))
    if "detail" in event and event["detail-type"] == "Batch Job State Change":
        return record_attempts(event["detail"])
    metrics.add_metric(name="MateWaitingHours", unit=MetricUnit.Count, value=longest_wait())
    repaired = repair_all()
    # last: an error of Batch must not stop the repair
    metrics.add_metric(name="JobsBlockedHours", unit=MetricUnit.Count, value=queues.longest_wait(job_queues()))
    return {"repaired": repaired}


def record_attempts(job: Mapping[str, Any]) -> dict[str, Any]:
    """Record the attempts of a job, and stop its run if they have cost its budget."""
    run = attempts.record(job, prices.of_deployment())
    if not run:
        return {}
    logger.append_keys(run=run)
    row = table.get(run) or {}
    if "finished" in row:  # the event is late
        return {"corrected": correct_cost(run, row["cost"])}
    return {"stopped": check_budget(row)}


def correct_cost(run: str, recorded: str) -> bool:
    """Set the cost of an ended run to the sum of its attempts; return True if it was another one."""
    total = cost.total(attempts.of_run(run))
    return float(total) != float(recorded) and table.set_cost(run, str(float(total)))


def check_budget(row: table.Row) -> bool:
    """Stop a run whose attempts have cost its budget until now; return True if it was stopped."""
    limit = budget.limit(row)
    if row.get("status") != table.RUNNING or "execution" not in row or not limit:
        return False
    rows = attempts.of_run(row["run"])
    seconds = {row["attempt"]: table.hours_since(row["started"]) * 3600 for row in rows if row["status"] == "RUNNING"}
    spent = cost.spent(rows, prices.of_deployment(), seconds)
    if spent < limit:
        return False
    logger.warning("the run has cost its budget", usd=round(spent, cost.USD_DIGITS))
    return executions.stop(str(row["execution"]), budget.describe(spent, limit), budget.BUDGET)


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
    """Record a run whose execution has ended or never began, or whose notification is pending.

    A run that has not ended is stopped if it has cost its budget.
    """
    execution = executions.describe(row["execution"])
    if execution and "notify_pending" in row:
        return bool(close(json.loads(execution["input"]), row["execution"], RunEnding.from_row(row)))
    if execution:
        closed = bool(close_execution(execution))
        if not closed:
            check_budget(row)
        return closed
    if table.hours_since(str(row.get("resumed") or row["started"])) < START_PERIOD:
        return False
    return close_not_started(row)


def close_not_started(row: table.Row) -> bool:
    """Record a run whose execution does not exist as failed."""
    folder = receipts.read_folder(S3Uri.parse(row["results"]), ())
    price = cost.of_run(attempts.of_run(row["run"]), prices.of_deployment())
    run_record = manifest.record(row, row["execution"], outcome.not_started(), folder, price)
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
    rates = prices.of_deployment()
    price = cost.of_run(attempts.complete(plan["run"], folder, plan, rates), rates)
    run_record = manifest.record(plan, execution, reported or outcome.from_plan(plan), folder, price)
    table.create(short_row(plan, execution, folder))
    if write(plan["run"], execution, plan["results"], run_record):
        correct_cost(plan["run"], run_record.row["cost"])  # an attempt may have been recorded since it was read
    return commands.complete_all(run_record.ending.answer(), plan["run"])


def short_row(plan: Mapping[str, Any], execution: str, folder: ResultsFolder) -> dict[str, Any]:
    """Return the row of a run that has none: start_run crashed, or the run ended, before it was written."""
    started = min((one["started"] for one in folder.receipts.values() if "started" in one), default=table.now())
    return {**{name: plan[name] for name in OF_PLAN if name in plan}, "execution": execution, "started": started}


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
    notify.send(run, run_record.subject, [*run_record.lines, *console.links(execution, run_record.report)])
    return True


def measure(run: str, ending: RunEnding, row: Mapping[str, Any]) -> None:
    """Add the metrics of the dashboard."""
    metrics.add_metric(name=f"Run{ending.status.title().replace('_', '')}", unit=MetricUnit.Count, value=1)
    if ending.publishes:
        metrics.add_metric(name="RunCost", unit=MetricUnit.NoUnit, value=float(row["cost"]))
        started = (table.get(run) or {})["started"]
        metrics.add_metric(name="RunHours", unit=MetricUnit.NoUnit, value=table.hours_since(started))


def job_queues() -> list[str]:
    """Return the ARNs of the queues of this deployment."""
    return os.environ["JOB_QUEUES"].split()
