"""What the API does with runs: read the table and the manifests, and call start_run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import ServiceError
from seqdrop import aws
from seqdrop.plan.names import MANIFEST
from seqdrop.runs import executions, table
from seqdrop.runs.outcome import WITH_RESULTS
from seqdrop.runs.table import Row
from seqdrop.storage import s3
from seqdrop.storage.s3 import Store
from seqdrop.storage.uri import S3Uri

from functions.api.models import COLUMNS, Lane, NewRun, Problem, Started

EXPIRES = 900  # seconds that the link to a report works


class MissingError(ServiceError):
    """The run, or this part of it, does not exist (404)."""

    def __init__(self, message: str) -> None:
        """Create the error."""
        super().__init__(404, message)


class ConflictError(ServiceError):
    """The state of a run does not allow the request (409)."""

    def __init__(self, message: str) -> None:
        """Create the error."""
        super().__init__(409, message)


class RefusedError(ServiceError):
    """A run was not started: a file or a reference is missing, or a choice is not possible here (409)."""

    def __init__(self, message: str, failure_class: str, problems: Iterable[Problem] = ()) -> None:
        """Create the error with the problems of the rows."""
        super().__init__(409, message)
        self.failure_class, self.problems = failure_class, list(problems)


def get(run: str) -> Row:
    """Return the row of a run; raise MissingError, also for rows of files that made no run."""
    row = table.get(run)
    if row is None or row.get("status") not in table.OF_RUNS:
        raise MissingError(f"Run {run} does not exist.")
    return row


def page(statuses: frozenset[str], sample: str, since: str, size: int, token: str) -> tuple[list[Row], str]:
    """Return the next `size` rows, the newest first, and the token of the page behind them, "" if there is none."""
    started, _, last = token.partition("/")
    rows = _rows(statuses, sample, since, started)
    found = list(islice(_after(rows, started, last), size + 1))
    more = found[size - 1] if len(found) > size else None
    return found[:size], f"{more['started']}/{more['run']}" if more else ""


def _rows(statuses: frozenset[str], sample: str, since: str, until: str) -> Iterator[Row]:
    if until and since > until:
        return iter(())
    if sample:
        return (row for row in table.of_sample(sample, table.run_table(), since, until) if row["status"] in statuses)
    return table.newest(statuses, table.run_table(), since, until)


def _after(rows: Iterator[Row], started: str, last: str) -> Iterator[Row]:
    """Yield the rows behind the last one of a page: several may have started in the same second."""
    same = list[Row]()
    for row in rows:
        if not started or row["started"] != started:
            yield from _behind(same, last)
            yield row
            yield from rows
            return
        same.append(row)
    yield from _behind(same, last)


def _behind(same: list[Row], last: str) -> list[Row]:
    names = [row["run"] for row in same]
    return same[names.index(last) + 1 :] if last in names else same


def start(request: NewRun) -> Started:
    """Start the run of a sample, or find the one that it has started before. Raise RefusedError, ConflictError."""
    if unknown := sorted(request.choices.keys() - {*COLUMNS}):
        raise RefusedError(f"No such choice: {unknown[0]}.", "BAD_INPUT.CHOICES")
    answer = _call({"start": [_row(request, lane) for lane in request.lanes]})
    if "problems" in answer:
        problems = [Problem(where=_where(line, column), message=text) for line, column, text in answer["problems"]]
        raise RefusedError("The request has problems; nothing was started.", "BAD_INPUT.SHEET", problems)
    if answer["outcome"] == "refused":
        raise RefusedError(answer["reason"], answer.get("failure_class", ""))
    if answer["outcome"] == "ignored":
        raise ConflictError(f"Nothing was started: {answer['reason']}.")
    return Started(**answer)


def _where(line: int, column: str) -> str:
    return f"line {line}, column {column}" if column else f"line {line}"


def _row(request: NewRun, lane: Lane) -> dict[str, str]:
    return {"sample": request.sample, **lane.model_dump(exclude_none=True), **request.choices}


def stop(run: str) -> None:
    """Stop a run and its jobs; raise MissingError, ConflictError."""
    row = get(run)
    if "execution" not in row or not executions.stop(row["execution"], "Stopped through the API"):
        raise ConflictError(f"Run {run} does not run: {row['status']}.")


def resume(run: str, max_cost: str = "") -> dict[str, str]:
    """Resume a run, or start one that was refused; return run and execution. Raise MissingError, ConflictError.

    `max_cost` is its new budget in USD, if it gets one.
    """
    get(run)
    [outcome] = _call({"resume": run, **({"max_cost": max_cost} if max_cost else {})})["outcomes"]
    if outcome["outcome"] != "resumed":
        raise ConflictError(f"Run {run} cannot be resumed: {outcome['reason']}.")
    return {"run": outcome["run"], "execution": outcome["execution"]}


def _call(request: dict[str, Any]) -> dict[str, Any]:
    """Call start_run and return its answer; raise ServiceError."""
    answer = lambda_client().invoke(FunctionName=os.environ["START_RUN"], Payload=json.dumps(request))
    if "FunctionError" in answer:
        raise ServiceError(502, "The function start_run failed: its log says why. Try again.")
    payload: dict[str, Any] = json.loads(answer["Payload"].read())
    return payload


def manifest(run: str) -> dict[str, Any]:
    """Return the manifest of a run; raise MissingError, ConflictError if it has no results."""
    row = get(run)
    if row["status"] not in WITH_RESULTS:
        raise ConflictError(f"Run {run} has no results: {row['status']}.")
    try:
        found: dict[str, Any] = s3.store().read_json(S3Uri.parse(row["results"]) / MANIFEST)
    except s3.MissingError:
        raise ConflictError(f"Run {run} has no manifest yet: try again in a minute.") from None
    return found


def report_url(run: str) -> str:
    """Return a link that opens the report; raise MissingError, ConflictError."""
    reports = [output for output in manifest(run)["outputs"] if output["name"] == "report"]
    if not reports:
        raise ConflictError(f"Run {run} has no report.")
    uri = S3Uri.parse(reports[0]["uri"])
    return signing_store().client.generate_presigned_url(
        "get_object", Params={"Bucket": uri.bucket, "Key": uri.key}, ExpiresIn=EXPIRES
    )


@cache
def signing_store() -> Store:
    """Return the store that signs links: objects under a KMS key need version 4."""
    return Store(aws.client("s3", signature_version="s3v4"))


@cache
def lambda_client() -> Any:
    """Return the Lambda client. It never repeats a call: the first one may still be at work."""
    return aws.client("lambda", read_timeout=29, retries={"total_max_attempts": 1})
