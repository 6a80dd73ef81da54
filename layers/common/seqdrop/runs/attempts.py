"""Record the attempts of jobs: one row for each, from Batch and from what the job itself has left in S3.

A row is written while the attempt runs, and once more when it has ended: late and repeated events change nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from seqdrop import aws
from seqdrop.failure.batch_cause import BatchCause
from seqdrop.failure.classify import classify
from seqdrop.failure.verdict import Verdict
from seqdrop.plan import layout, steps
from seqdrop.plan.names import NAME, VERSION
from seqdrop.runs import cost, prices, queues, receipts, table
from seqdrop.runs.cost import FAILED
from seqdrop.runs.dynamodb import Table
from seqdrop.runs.prices import Host, Prices
from seqdrop.runs.receipts import ResultsFolder
from seqdrop.runs.table import RUNNING, Row
from seqdrop.storage.uri import S3Uri

SUCCEEDED = "SUCCEEDED"
Document = Mapping[str, Any]  # a receipt or a verdict
# Added up for the steps of one job; of other figures, the largest counts.
SUMS = {"bytes_in", "bytes_cached", "bytes_out", "cpu_seconds"}


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a run, as Batch describes it in its events and in DescribeJobs."""

    description: Mapping[str, Any]

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return str(self.description["jobId"])

    @property
    def step(self) -> str:
        """The step, by the tag that every state gives to its jobs, else by their name."""
        tags = self.description.get("tags") or {}
        return str(tags.get("step") or self.description.get("jobName", "").partition("-")[0])

    @property
    def parameters(self) -> Mapping[str, str]:
        """The values of the plan that the job got."""
        parameters: Mapping[str, str] = self.description.get("parameters") or {}
        return parameters

    @property
    def run(self) -> str:
        """The run; "" for a job that is not of a run of this deployment."""
        run, results = self.parameters.get("run", ""), self.parameters.get("results", "")
        own = results.startswith(f"s3://{os.environ['RESULTS_BUCKET']}/") and results.endswith(f"/{run}")
        return run if own and NAME.fullmatch(run) else ""

    @property
    def index(self) -> str:
        """The index of a child of an array job; "" for other jobs."""
        return str(self._array.get("index", ""))

    @property
    def _array(self) -> Mapping[str, Any]:
        array: Mapping[str, Any] = self.description.get("arrayProperties") or {}
        return array

    def attempts(self) -> Iterator[dict[str, Any]]:
        """Yield the attributes of each attempt that Batch knows: ended ones, and the one that runs.

        The parent of an array job has none: its children have them.
        """
        if "size" in self._array and not self.index:
            return
        free = self.description.get("createdAt")  # since when the job waits for an instance
        ended = self._of_batch()
        for number, attempt in enumerate(ended, start=1):
            yield self._ended(number, attempt, free, is_last=number == len(ended))
            free = attempt.get("stoppedAt")
        if self.description.get("status") == RUNNING and self.description.get("startedAt"):
            started = self.description["startedAt"]
            yield {**self._common(len(ended) + 1, started, free), "status": RUNNING}

    def _of_batch(self) -> list[Mapping[str, Any]]:
        return [attempt for attempt in self.description.get("attempts") or () if attempt.get("stoppedAt")]

    def _common(self, number: int, started: int | None, free: int | None) -> dict[str, Any]:
        values = {
            "version": VERSION,
            "run": self.run,
            "attempt": f"{self.job_id}.{number}",
            "step": self.step,
            "try": int(self.parameters.get("attempt", "1")),
            "number": number,
            "job_id": self.job_id,
            "queue": prices.name(str(self.description.get("jobQueue", ""))),
            "vcpus": int(self.parameters.get("vcpus", 0)),
            "memory": int(self.parameters.get("memory", 0)),
        }
        if started:
            values |= {"started": _time(started), "queued": _seconds(free, started)}
        return values

    def _ended(self, number: int, attempt: Mapping[str, Any], free: int | None, *, is_last: bool) -> dict[str, Any]:
        container, started, stopped = attempt.get("container") or {}, attempt.get("startedAt"), attempt.get("stoppedAt")
        values = {**self._common(number, started, free), "seconds": _seconds(started, stopped)}
        values["status"] = SUCCEEDED if container.get("exitCode") == 0 else FAILED
        if is_last and self.description.get("status") == FAILED:  # an attempt that was stopped may exit with 0
            values["status"] = FAILED
        if stopped:
            values["stopped"] = _time(stopped)
        if "exitCode" in container:
            values["exit"] = int(container["exitCode"])
        return values

    def cause(self, number: int) -> BatchCause:
        """Return how an attempt ended, according to Batch."""
        attempts = self._of_batch()
        attempt = attempts[number - 1]
        container = attempt.get("container") or {}
        is_last = number == len(attempts)
        stopped = self.description.get("isTerminated") is True or self.description.get("isCancelled") is True
        return BatchCause(
            job_id=self.job_id,
            attempt=number,
            exit_code=container.get("exitCode"),
            status_reason=str(attempt.get("statusReason") or ""),
            reason=str(container.get("reason") or ""),
            stopped=is_last and stopped,
        )


def _time(milliseconds: int) -> str:
    return table.time_text(datetime.fromtimestamp(milliseconds / 1000, UTC))


def _seconds(start: int | None, end: int | None) -> Decimal:
    return Decimal(max(0, (end or 0) - (start or end or 0)) // 100) / 10


@cache
def attempt_table() -> Table:
    """Return the table of this deployment."""
    return Table(aws.client("dynamodb"), os.environ["ATTEMPT_TABLE"])


def of_run(run: str, attempts: Table | None = None) -> list[Row]:
    """Return the rows of the attempts of a run, in the order in which they started; by default of this deployment."""
    rows = table.pages(
        (attempts or attempt_table()).query,
        KeyConditionExpression="#run = :run",
        ExpressionAttributeNames={"#run": "run"},
        ExpressionAttributeValues={":run": run},
        ConsistentRead=True,
    )
    return sorted(rows, key=lambda row: (str(row.get("started", "")), str(row["attempt"])))


def of_runs(runs: Iterable[Row], attempts: Table | None = None) -> Iterator[Row]:
    """Yield the rows of the attempts of these runs, each with the sample of its run, and with its form if it is there.

    A run of an earlier version has none: its cost is one row without a step.
    """
    for run in runs:
        rows = of_run(str(run["run"]), attempts)
        if not rows and "cost" in run:
            rows = [{"run": run["run"], "status": run["status"], "seconds": 0, "vcpus": 0, "memory": 0,
                     "usd": Decimal(str(run["cost"])), "price": prices.RATES}]  # fmt: skip
        of_run_too = {"sample": run.get("sample", ""), **({"form": run["form"]} if "form" in run else {})}
        yield from ({**row, **of_run_too} for row in rows)


def record(description: Mapping[str, Any], rates: Prices) -> str:
    """Write the rows of the attempts that Batch describes; return the run, or "" if the job is not of a run."""
    job = Job(description)
    if job.run:
        for values in job.attempts():
            if values["status"] == RUNNING:
                write(values)
            else:
                documents = _documents(job, values)
                failure = _failure(job, values, documents)
                write(cost.priced({**values, **used_by(documents), **failure}, rates))
    return job.run


def write(row: Row) -> bool:
    """Write a row unless the attempt has ended already; return True if it was written."""
    condition = "attribute_not_exists(#run)" + ("" if row["status"] == RUNNING else " OR #status = :running")
    request: dict[str, Any] = {"ExpressionAttributeNames": {"#run": "run"}}
    if row["status"] != RUNNING:
        request["ExpressionAttributeNames"] |= {"#status": "status"}
        request["ExpressionAttributeValues"] = {":running": RUNNING}
    client = attempt_table().client
    try:
        attempt_table().put_item(Item=row, ConditionExpression=condition, **request)
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def complete(run: str, folder: ResultsFolder, plan: Mapping[str, Any], rates: Prices) -> list[Row]:
    """Return the rows of a run that has ended, after writing those whose events are late or lost.

    Batch describes a job for some days. After that, and where it knows none, receipts and verdicts are attempts.
    """
    rows = of_run(run)
    known = {row["job_id"] for row in rows if row["status"] != RUNNING}
    left = {str(job) for one in folder.receipts.values() for job in one.get("job_ids", [one.get("job_id", "")])}
    left |= {verdict.job_id for _, verdict in folder.failures} | {str(row["job_id"]) for row in rows}
    if missing := sorted(left - known - {""}):
        for description in queues.describe(missing):
            record(description, rates)
        rows = of_run(run)
    known = {row["job_id"] for row in rows}
    written = [write(row) for row in _left_by_jobs(run, folder, plan, rates) if row["job_id"] not in known]
    return of_run(run) if written else rows


def _left_by_jobs(run: str, folder: ResultsFolder, plan: Mapping[str, Any], rates: Prices) -> Iterator[Row]:
    """Yield the rows of the attempts that left a receipt or a verdict, without what Batch alone knows."""
    numbers: dict[str, int] = {}
    documents = [(step, FAILED, verdict.to_json()) for step, verdict in folder.failures]
    documents += [(step, SUCCEEDED, dict(receipt)) for step, receipt in folder.receipts.items()]
    for step, status, document in documents:
        job_id = str(document.get("job_id") or step)
        numbers[job_id] = numbers.get(job_id, 0) + 1
        row = {
            "version": VERSION,
            "run": run,
            "attempt": f"{job_id}.{numbers[job_id]}",
            "step": step,
            "number": numbers[job_id],
            "job_id": job_id,
            "queue": prices.name(str((plan.get(steps.FUSED.name) or plan.get(step, {})).get("job_queue", ""))),
            "vcpus": int(document["vcpus"]),
            "memory": int(document["memory"]),
            "seconds": Decimal(str(document["seconds"])),
            "status": status,
        }
        row |= {"started": document["started"]} if "started" in document else {}
        row |= {"class": document["class"]} if status == FAILED else {}
        yield cost.priced({**row, **used(document)}, rates)


def _documents(job: Job, values: Row) -> list[Document]:
    """Return what an attempt has left: its receipt or its verdict; of the job with all steps, first its verdicts.

    A receipt of an earlier attempt of that job is left out: a later attempt does not repeat the step.
    """
    failed = values["status"] == FAILED
    if job.step != steps.FUSED.name:
        documents = [_verdict(job, values, job.step) if failed else _receipt(job, job.step)]
    else:
        documents = [_verdict(job, values, name) for name in steps.names()] if failed else []
        documents += [receipt for name in steps.names() if _is_of(receipt := _receipt(job, name), values)]
    return [document for document in documents if document]


def _is_of(receipt: Document, values: Row) -> bool:
    """Return whether a step has left its receipt in this attempt."""
    return bool(values.get("started", "") <= receipt.get("started", "") <= values.get("stopped", "~"))


def _receipt(job: Job, step: str) -> Document:
    return _own(job, layout.receipt_uri(S3Uri.parse(job.parameters["results"]), step, job.index))


def _verdict(job: Job, values: Row, step: str) -> Document:
    numbers = str(values["try"]), str(values["number"])
    return _own(job, layout.verdict_uri(S3Uri.parse(job.parameters["results"]), step, *numbers, job.index))


def _own(job: Job, uri: S3Uri) -> Document:
    """Return a document of this job; empty if there is none, or one of another job."""
    document = receipts.read_document(uri)
    return document if document and document.get("job_id") == job.job_id else {}


def _failure(job: Job, values: Row, verdicts: Sequence[Document]) -> dict[str, str]:
    """Return the failure class of a failed attempt: that of the first step that failed."""
    if values["status"] != FAILED:
        return {}
    try:
        verdict = Verdict.from_json(verdicts[0]) if verdicts else None
    except ValueError:
        verdict = None
    return {"class": classify(job.cause(values["number"]), verdict)[0]}


def used_by(documents: Sequence[Document]) -> dict[str, Any]:
    """Return what an attempt has used by the documents of its steps, as `used` does for one."""
    values: dict[str, Any] = {}
    for name, value in (pair for document in documents for pair in used(document).items()):
        more = values[name] + value if name in SUMS and name in values else value
        values[name] = max(more, values.get(name, more))
    return values


def used(document: Document) -> dict[str, Any]:
    """Return what an attempt has used, by its receipt or verdict: MiB, bytes, CPU seconds, and its instance."""
    usage = document.get("usage") or {}
    host = Host.from_json(usage.get("host"))
    values = {
        "peak_memory": _count(document.get("peak_memory")),
        "bytes_in": _count(document.get("bytes_in", usage.get("bytes_in"))),
        "bytes_cached": _count(document.get("bytes_cached", usage.get("bytes_cached"))),
        "bytes_out": _count(document.get("bytes_out", usage.get("bytes_out"))),
        "cpu_seconds": _count(usage.get("cpu_seconds")),
        "scratch": _count(usage.get("scratch")),
        "shared": _count(usage.get("shared")),
        "instance_type": host.instance_type,
        "life_cycle": host.life_cycle,
        "zone": host.zone,
        "host_vcpus": host.vcpus,
        "host_memory": host.memory,
    }
    return {name: value for name, value in values.items() if value}


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0
