"""The doctor: a job failed; name the failure and write the next try into the plan, or give up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.verdict import Verdict
from seqdrop.log import logger
from seqdrop.plan import layout
from seqdrop.runs import diagnosis
from seqdrop.storage import s3
from seqdrop.storage.uri import S3Uri


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    step = failed_step(event)
    logger.append_keys(run=event["run"], step=step)
    verdict = read_verdict(event, step, BatchCause.parse(event[step]["error"]))
    means = os.environ["LAST_RESORT_QUEUE"], os.environ["WHOLE_INSTANCE_VCPUS"]
    plan = diagnosis.diagnose(event, step, verdict, *means)
    logger.info("diagnosed", failure_class=plan[step]["failures"][-1]["class"], next=plan["next"])
    return plan


def failed_step(plan: Mapping[str, Any]) -> str:
    """The one job whose state has just put an error into its object."""
    return next(step for step in diagnosis.STATES if "error" in plan.get(step, {}))


def read_verdict(plan: Mapping[str, Any], step: str, ending: BatchCause) -> Verdict | None:
    """The verdict of the very job and attempt that failed; one of another job is no evidence."""
    uri = layout.verdict_uri(S3Uri.parse(plan["results"]), step, plan[step]["attempt"], str(ending.attempt))
    try:
        verdict = Verdict.from_json(s3.store().read_json(uri))
    except (s3.MissingError, ValueError):  # what cannot be read is no evidence either
        return None
    return verdict if verdict.job_id == ending.job_id else None
