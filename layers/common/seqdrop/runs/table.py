"""Read and write the run table: one row for each run. Every write is conditional and can be repeated."""

from __future__ import annotations

import hashlib
import heapq
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

from seqdrop import aws
from seqdrop.failure import advice
from seqdrop.plan.names import VERSION
from seqdrop.runs import commands, outcome
from seqdrop.runs.dynamodb import Table

RUNNING, WAITING, IGNORED = "RUNNING", "WAITING", "IGNORED"
OF_FILES = frozenset({WAITING, IGNORED})  # the status of rows that are about files, not about runs
# Of runs that lack results, or whose results are not fit for use.
FAILED = frozenset({"FAILED", "ABORTED", "TIMED_OUT", "INCOMPLETE", outcome.QC_FAILED})
OF_RUNS = FAILED | {RUNNING, "SUCCEEDED"}
PAGE = 25  # rows of one answer to `newest`
PENDING = "yes"  # the value of `notify_pending`; the index of this attribute has only rows with it
HELD = "held"  # the kind of the rows of files that wait for their samplesheet
FILES_TTL = 14 * 24 * 3600  # seconds; after this time the file was most likely deleted
MESSAGE_LEASE = 60  # seconds that one caller has to send a message: the time limit of start_run
Row = dict[str, Any]
_WAIT = ("upload", "ticket", "quiet_until", "claimed")  # the attributes of lanes whose run starts at a certain time
# The attributes of an ended run; a resumed run loses them.
_ENDING = ("class", "message", "advice", "step", "job", "finished", "tried", "tool_lines", "log", "cost",
           "notify_pending", "notify_claimed", "warnings", "qc")  # fmt: skip


@cache
def run_table() -> Table:
    """Return the table of this deployment."""
    return Table(aws.client("dynamodb"), os.environ["RUN_TABLE"])


def now() -> str:
    """Return the time as rows have it: UTC, in seconds."""
    return time_text(datetime.now(UTC))


def time_text(moment: datetime) -> str:
    """Return a time of UTC as rows have it, in seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(row: Mapping[str, Any]) -> float:
    """Return the seconds from the start of an ended run to its end."""
    started, finished = (datetime.fromisoformat(str(row[name])) for name in ("started", "finished"))
    return (finished - started).total_seconds()


def hours_since(text: str) -> float:
    """Return the hours since a time that `now` returned."""
    then = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (datetime.now(UTC) - then).total_seconds() / 3600


def get(run: str, table: Table | None = None) -> Row | None:
    """Return the row of a run, by default from the table of this deployment; None if there is none."""
    return (table or run_table()).get_item(Key={"run": run}, ConsistentRead=True).get("Item")


def newest(statuses: Iterable[str], table: Table, since: str = "", until: str = "") -> Iterator[Row]:
    """Yield the rows with one of these statuses from the time `since` to the time `until`, the newest first.

    Only as many pages are read as rows are used.
    """
    queries = [_newest(table, "status", status, since, until) for status in sorted(statuses)]
    yield from heapq.merge(*queries, key=lambda row: str(row["started"]), reverse=True)


def of_sample(sample: str, table: Table, since: str = "", until: str = "") -> Iterator[Row]:
    """Yield the rows of a sample from the time `since` to the time `until`, the newest first."""
    yield from _newest(table, "sample", sample, since, until)


def _newest(table: Table, attribute: str, value: str, since: str, until: str) -> Iterator[Row]:
    return pages(
        table.query,
        IndexName=f"by_{attribute}",
        KeyConditionExpression="#attribute = :value AND started BETWEEN :since AND :until",
        ExpressionAttributeNames={"#attribute": attribute},
        ExpressionAttributeValues={":value": value, ":since": since or "0", ":until": until or "~"},
        ScanIndexForward=False,
        Limit=PAGE,
    )


def create(row: Mapping[str, Any]) -> bool:
    """Write the row of a started run unless it exists; it replaces a refusal. Return True if it was written."""
    new = {"version": VERSION, "started": now(), **row, "status": RUNNING}
    return _put(new, "attribute_not_exists(#run) OR attribute_not_exists(execution)")


def create_or_complete(row: Mapping[str, Any]) -> None:
    """Write the row of a started run, or the attributes that it lacks.

    A run that ended before this write has a row from record_run, which knows only what the plan has.
    """
    if create(row):
        return
    values = {name: value for name, value in row.items() if name not in {"run", "execution"}}
    assignments = ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in values)
    _update(str(row["run"]), f"SET {assignments}", values, {"execution": row["execution"]})


def create_refused(row: Mapping[str, Any], failure_class: str, message: str, what_to_do: str = "") -> bool:
    """Write the row of reads that were refused. Return True for the one caller that is to send its notification.

    Another caller may send it after a minute: the first one died, and Lambda repeats its event.
    """
    refused = {
        "version": VERSION,
        **row,
        "status": "FAILED",
        "started": now(),
        "finished": now(),
        "class": failure_class,
        "message": message,
        "advice": what_to_do or advice.get(failure_class),
        "notify_pending": PENDING,
    }
    _put(refused, "attribute_not_exists(#run)")
    return _claim_notification(str(row["run"]))


def update_refused(run: str, failure_class: str, message: str) -> None:
    """Write why a run is still refused; its owner has just asked, so that no notification is sent."""
    values = {"class": failure_class, "message": message, "advice": commands.complete(advice.get(failure_class), run)}
    assignments = ", ".join(f"#{name} = :{name}" for name in values)
    _update(run, f"SET {assignments}", values, {"status": "FAILED"})


def set_restarted(run: str, other: str) -> None:
    """Write into the row of a refused run that it was started as another one: what it reads has changed since."""
    expression = "SET restarted = :other REMOVE upload"
    run_table().update_item(Key={"run": run}, UpdateExpression=expression, ExpressionAttributeValues={":other": other})


def _claim_notification(run: str) -> bool:
    """Reserve the pending notification of a run for this caller; return False if there is none or it is reserved."""
    condition = "notify_pending = :yes AND (attribute_not_exists(notify_claimed) OR notify_claimed <= :past)"
    values = {":yes": PENDING, ":past": int(time.time()) - MESSAGE_LEASE, ":now": int(time.time())}
    return _try_update(run, "SET notify_claimed = :now", condition, values)


def release_notification(run: str) -> None:
    """Give up the reservation: the notification could not be sent, and the next caller sends it."""
    run_table().update_item(Key={"run": run}, UpdateExpression="REMOVE notify_claimed")


def close(run: str, execution: str, ending: Mapping[str, Any], **expected: str) -> bool:
    """Write the end of a run. Return True if this conditional write won.

    The row must be that of `execution`: the first execution of a resumed run cannot close it. `expected` are further
    attributes that the row must have.
    """
    values = {**ending, "notify_pending": PENDING}
    condition = {"status": RUNNING, "execution": execution, **expected}
    return _update(run, "SET " + ", ".join(f"#{name} = :{name}" for name in values), values, condition)


def is_notify_pending(run: str, **expected: str) -> bool:
    """Return True if the row has these attributes and its notification is still pending."""
    row = get(run) or {}
    return "notify_pending" in row and all(row.get(name) == value for name, value in expected.items())


def clear_notify_pending(run: str) -> None:
    """Record that the notification was sent."""
    run_table().update_item(Key={"run": run}, UpdateExpression="REMOVE notify_pending, notify_claimed")


def reopen(run: str, row: Mapping[str, Any], execution: str) -> bool:
    """Set an ended run to RUNNING under another execution. Return True if this conditional write won.

    `row` is the row as it was read; the write fails if another writer changed it since.
    """
    values = {"status": RUNNING, "execution": execution, "resumed": now()}
    assignments = ", ".join(f"#{name} = :{name}" for name in values)
    removals = ", ".join(f"#{name}" for name in _ENDING)
    condition = {"status": row["status"], "execution": row["execution"]}
    return _update(run, f"SET {assignments} REMOVE {removals}", values, condition, _ENDING)


def set_budget(run: str, max_cost: str) -> None:
    """Write the budget of a run, in USD."""
    _try_update(run, "SET max_cost = :max_cost", "attribute_exists(execution)", {":max_cost": max_cost})


def set_cost(run: str, cost: str) -> bool:
    """Correct the cost of an ended run, in USD: an event of its last attempts came late. Return True if it has ended.

    Nothing else of the row changes.
    """
    condition = "attribute_exists(execution) AND attribute_exists(finished) AND #status <> :running"
    return _try_update(run, "SET cost = :cost", condition, {":cost": cost, ":running": RUNNING}, {"#status": "status"})


def renew_resumed(row: Mapping[str, Any]) -> bool:
    """Set `resumed` of a reopened row to now, so that the repair does not close it before its execution begins.

    Return False if the row changed since it was read.
    """
    condition = {name: str(row[name]) for name in ("status", "execution", "resumed") if name in row}
    return _update(str(row["run"]), "SET #resumed = :resumed", {"resumed": now()}, condition)


def with_status(status: str) -> Iterator[Row]:
    """Yield every row with this status."""
    yield from _query("status", status)


def with_notify_pending() -> Iterator[Row]:
    """Yield every row whose notification is still pending."""
    yield from _query("notify_pending", PENDING)


def with_content(content: str) -> Iterator[Row]:
    """Yield the row of every run that reads this content (`submit.content_of`) from any place."""
    yield from _query("content", content)


def with_group(group: str) -> Iterator[Row]:
    """Yield the row of every run of the lanes that have this `group`, with a part of its attributes."""
    yield from _query("group", group)


def set_superseded(run: str, other: str) -> None:
    """Write into the row of a run that another one has its lanes and more."""
    _try_update(run, "SET superseded_by = :other", "attribute_exists(execution)", {":other": other})


def create_waiting(bucket: str, names: Sequence[str], sample: str, message: str, kind: str = "waiting") -> None:
    """Write the row of files that wait for others, or its new message: `started` is written once."""
    run = file_id(kind, bucket, names)
    row = {"version": VERSION, "run": run, "sample": sample, "status": WAITING, "message": message}
    if not _put({**row, "started": now(), "expires": _expiry()}, "attribute_not_exists(#run)"):
        expression = f"SET #message = :message REMOVE {', '.join(f'#{name}' for name in _WAIT)}"
        _update(run, expression, {"message": message}, {"status": WAITING}, _WAIT)


def set_wait(run: str, sample: str, message: str, upload: str, ticket: str, quiet_until: datetime) -> None:
    """Write the row of lanes whose run starts at a certain time; `started` is written once.

    Only the message of the queue with this ticket starts the run: a later file replaces the ticket. `upload` is the
    address of one of the files, `quiet_until` the end of the quiet time.
    """
    values = {"version": VERSION, "sample": sample, "status": WAITING, "message": message, "expires": _expiry()}
    values |= {"upload": upload, "ticket": ticket, "quiet_until": time_text(quiet_until), "started": now()}
    once = {"started": "if_not_exists(#started, :started)"}
    assignments = ", ".join(f"#{name} = {once.get(name, f':{name}')}" for name in values)
    _update(run, f"SET {assignments} REMOVE #claimed", values, {}, ["claimed"])


def claim_wait(run: str, ticket: str) -> bool:
    """Reserve the start of waiting lanes for this caller: SQS may deliver a message twice.

    Return False if a later file has replaced the ticket, or if another caller has had the reservation for less than a
    minute.
    """
    condition = "ticket = :ticket AND (attribute_not_exists(claimed) OR claimed <= :past)"
    values = {":ticket": ticket, ":past": int(time.time()) - MESSAGE_LEASE, ":now": int(time.time())}
    return _try_update(run, "SET claimed = :now", condition, values)


def delete_wait(run: str, ticket: str) -> None:
    """Delete the row of lanes whose run has started, unless a later file has replaced the ticket."""
    client = run_table().client
    with suppress(client.exceptions.ConditionalCheckFailedException):
        values = {":ticket": ticket}
        run_table().delete_item(
            Key={"run": run}, ConditionExpression="ticket = :ticket", ExpressionAttributeValues=values
        )


def delete_waiting(bucket: str, names: Sequence[str]) -> None:
    """Delete the row of files that waited."""
    run_table().delete_item(Key={"run": file_id("waiting", bucket, names)})


def create_held(bucket: str, names: Sequence[str], version: str, sample: str, message: str) -> None:
    """Write the row of files that wait for their samplesheet, unless that has named this version of one of them."""
    run = file_id(HELD, bucket, names)
    named = (get(run) or {}).get("versions", [])
    if version in named:
        return
    if named:  # files that were replaced
        run_table().delete_item(Key={"run": run})
    create_waiting(bucket, names, sample, message, HELD)


def set_named(bucket: str, names: Sequence[str], versions: Sequence[str]) -> None:
    """Replace the row of files that waited for a samplesheet, so that a late event of these versions writes none.

    No index has the new row, since it has neither a sample nor a status.
    """
    row = {"version": VERSION, "run": file_id(HELD, bucket, names), "versions": list(versions)}
    run_table().put_item(Item={**row, "expires": _expiry()})


def create_ignored(run: str, sample: str, message: str) -> None:
    """Write the row of a file, or of a copy of a run's files, that makes no run; `started` is written once."""
    row = {"version": VERSION, "run": run, "sample": sample, "status": IGNORED, "message": message}
    _put({**row, "started": now(), "expires": _expiry()}, "attribute_not_exists(#run)")


def file_id(kind: str, bucket: str, names: Sequence[str]) -> str:
    """Return the id of a row about files: `<kind>-` and a hash of their keys."""
    return f"{kind}-" + hashlib.sha256("\n".join((bucket, *names)).encode()).hexdigest()[:12]


def _expiry() -> int:
    return int(time.time()) + FILES_TTL


def _query(attribute: str, value: str) -> Iterator[Row]:
    """Yield every row with this value of an attribute, which has an index with its name."""
    yield from pages(
        run_table().query,
        IndexName=f"by_{attribute}",
        KeyConditionExpression="#attribute = :value",
        ExpressionAttributeNames={"#attribute": attribute},
        ExpressionAttributeValues={":value": value},
    )


def pages(read: Callable[..., Any], **request: Any) -> Iterator[Row]:
    """Yield the items of all pages of a query."""
    while True:
        page = read(**request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _update(
    run: str, expression: str, values: Mapping[str, Any], condition: Mapping[str, str], removed: Sequence[str] = ()
) -> bool:
    """Update a row if it has the attributes of `condition`; return False if it does not."""
    names = {f"#{name}": name for name in (*values, *condition, *removed)}
    new = {f":{name}": value for name, value in values.items()}
    old = {f":old_{name}": value for name, value in condition.items()}
    equal = " AND ".join(f"#{name} = :old_{name}" for name in condition)
    return _try_update(run, expression, equal, {**new, **old}, names)


def _try_update(
    run: str, expression: str, condition: str, values: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> bool:
    request: dict[str, Any] = {"ExpressionAttributeNames": dict(names)} if names else {}
    if condition:
        request["ConditionExpression"] = condition
    try:
        run_table().update_item(
            Key={"run": run},
            UpdateExpression=expression,
            ExpressionAttributeValues=dict(values),
            **request,
        )
    except run_table().client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _put(row: Mapping[str, Any], condition: str) -> bool:
    try:
        run_table().put_item(Item=row, ConditionExpression=condition, ExpressionAttributeNames={"#run": "run"})
    except run_table().client.exceptions.ConditionalCheckFailedException:
        return False
    return True
