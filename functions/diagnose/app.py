"""Diagnose a failed job: name the failure and write the next try into the plan, or give up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import Verdict
from seqdrop.log import logger
from seqdrop.plan import layout, steps
from seqdrop.plan.extras import KNOWN
from seqdrop.runs import arrays, commands, diagnosis
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return the plan with the next try of the failed step."""
    step = failed_step(event)
    logger.append_keys(run=event["run"], step=step)
    plan = {**event, step: {**event[step], "error": arrays.error_of_child(event[step]["error"])}}
    failed, verdict = find_failure(plan, step, BatchCause.parse(plan[step]["error"]))
    last_resort = os.environ["LAST_RESORT_QUEUE"], os.environ["WHOLE_INSTANCE_VCPUS"]
    plan = diagnosis.diagnose(plan, step, verdict, *last_resort, failed=failed)
    if "gave_up" in plan[failed]:
        plan[failed]["gave_up"] = commands.complete_all(plan[failed]["gave_up"], event["run"])
    logger.info("diagnosed", failure_class=plan[step]["failures"][-1]["class"], next=plan["next"])
    return plan


def failed_step(plan: Mapping[str, Any]) -> str:
    """Return the step whose state has put an error into its job object, also one of another version.

    Known variants may have the name `error`.
    """
    return next(name for name, job in plan.items() if name != KNOWN and isinstance(job, dict) and "error" in job)


def find_failure(plan: Mapping[str, Any], job: str, cause: BatchCause) -> tuple[str, Verdict | None]:
    """Return the step that failed and its verdict.

    In the job with all steps, it is the first one with a verdict of this attempt; without any, since the job was
    killed, the first one without a receipt.
    """
    attempt = plan[job]["attempt"]
    if job != steps.FUSED.name:
        return job, read_verdict(plan, job, attempt, cause)
    names = steps.of_plan(plan)
    for name in names:
        if verdict := read_verdict(plan, name, attempt, cause):
            return name, verdict
    folder = S3Uri.parse(plan["results"])
    missing = (name for name in names if not s3.store().find(layout.receipt_uri(folder, name)))
    return next(missing, names[-1]), None


def read_verdict(plan: Mapping[str, Any], step: str, attempt: str, cause: BatchCause) -> Verdict | None:
    """Return the verdict of the attempt that failed; None for one of another job, or one that cannot be read."""
    index = "" if cause.array_index is None else str(cause.array_index)
    uri = layout.verdict_uri(S3Uri.parse(plan["results"]), step, attempt, str(cause.attempt), index)
    try:
        verdict = Verdict.from_json(s3.store().read_json(uri))
    except (s3.MissingError, ValueError):
        return None
    return verdict if verdict.job_id == cause.job_id else None
