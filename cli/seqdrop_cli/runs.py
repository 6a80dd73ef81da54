"""The run table as a person reads it: which runs there are, how they stand, why one failed, how to end it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from rich.table import Table
from rich.text import Text
from seqdrop.uri import S3Uri

from seqdrop_cli.problem import Problem
from seqdrop_cli.screen import say, screen, seconds
from seqdrop_cli.stack import Stack

Row = dict[str, Any]
LATEST = "latest"
SHOWN = 20  # rows of `seqdrop status`; --json has them all
STYLES = {"RUNNING": "cyan", "SUCCEEDED": "green", "INCOMPLETE": "yellow"}


def row_of(stack: Stack, run: str) -> Row | None:
    return stack.table.get_item(Key={"run": run}, ConsistentRead=True).get("Item")


def rows(stack: Stack) -> list[Row]:
    """All runs, newest first."""
    found: list[Row] = []
    page: Any = stack.table.scan()
    found += page["Items"]
    while "LastEvaluatedKey" in page:
        page = stack.table.scan(ExclusiveStartKey=page["LastEvaluatedKey"])
        found += page["Items"]
    return sorted(found, key=lambda row: str(row.get("started", "")), reverse=True)


def find(stack: Stack, text: str) -> Row:
    """By id, by a beginning of it that only one run has, or `latest`."""
    if text != LATEST and (exact := row_of(stack, text)):
        return exact
    known = rows(stack)
    if not known:
        raise Problem(f"Stack {stack.name} has no runs yet: `seqdrop run{stack.option}` starts one.")
    if text == LATEST:
        return next((row for row in known if row["status"] != "WAITING"), known[0])
    found = [row for row in known if str(row["run"]).startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Problem(f"{len(found)} runs begin with {text}: {', '.join(str(row['run']) for row in found[:5])}.")
    raise Problem(f"No run {text} in stack {stack.name}: `seqdrop status{stack.option}` lists them.")


def execution_of(row: Mapping[str, Any]) -> str:
    """The ARN; raises Problem for a run that was refused before it started."""
    if not row.get("execution"):
        raise Problem(f"Run {row['run']} started no execution: {row.get('message') or 'it was refused'}")
    return str(row["execution"])


def execution_arn(stack: Stack, run: str) -> str:
    """What start_run's execution of this run is called."""
    return f"{stack['PipelineStateMachine'].replace(':stateMachine:', ':execution:')}:{run}"


def show_list(found: Sequence[Row]) -> None:
    if not found:
        say("No runs yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "sample", "status", "started", "took", "why"):
        table.add_column(heading, no_wrap=heading in {"run", "status"})
    for row in found[:SHOWN]:
        status = str(row.get("status", "?"))
        told = Text(status, STYLES.get(status, "red"))
        began, reason = _minute(row.get("started")), str(row.get("class") or "")
        table.add_row(str(row["run"]), str(row.get("sample", "")), told, began, took(row), reason)
    screen().print(table)
    if len(found) > SHOWN:
        say(f"... and {len(found) - SHOWN} older ones")


def show_one(row: Mapping[str, Any]) -> None:
    first = ("run", "sample", "status", "started", "finished")
    shown = {name: row[name] for name in first if row.get(name)}
    shown |= {"took": took(row)} if took(row) else {}
    shown |= {
        name: row[name] for name in ("step", "class", "message", "advice", "results", "execution") if row.get(name)
    }
    for name, value in shown.items():
        say(f"{name:<10} {value}")


def took(row: Mapping[str, Any]) -> str:
    if not row.get("started") or not row.get("finished"):
        return ""
    started, finished = (datetime.fromisoformat(str(row[name])) for name in ("started", "finished"))
    return seconds((finished - started).total_seconds())


def _minute(moment: Any) -> str:
    return str(moment or "")[:16].replace("T", " ")


def verdicts(stack: Stack, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What failed attempts left behind, newest first."""
    if not row.get("results"):
        return []
    folder = S3Uri.parse(str(row["results"])) / "failures/"
    pages = stack.s3.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=folder.key)
    objects = [entry for page in pages for entry in page.get("Contents", [])]
    objects.sort(key=lambda entry: entry["LastModified"], reverse=True)
    keys = [entry["Key"] for entry in objects]
    bodies = [stack.s3.get_object(Bucket=folder.bucket, Key=key)["Body"].read() for key in keys]
    return [{"name": key.rsplit("/", 1)[-1], **json.loads(body)} for key, body in zip(keys, bodies, strict=True)]


def explain(stack: Stack, row: Mapping[str, Any]) -> None:
    """Class, sentence, advice, and the last the tool said."""
    found = verdicts(stack, row)
    if row.get("status") in {"RUNNING", "SUCCEEDED"} and not found:
        say(f"Run {row['run']} is {str(row['status']).lower()}: nothing failed in it.")
        return
    newest = found[0] if found else {}
    step = row.get("step") or newest.get("name", "").split(".")[0]
    cause = row.get("class") or newest.get("class") or row.get("status")
    say(
        f"{cause}{f' in {step}' if step else ''}",
        style="bold red" if row.get("status") != "SUCCEEDED" else "bold yellow",
    )
    for sentence in dict.fromkeys(
        [row.get("message") or newest.get("message"), row.get("advice") or newest.get("advice")]
    ):
        if sentence:
            say(str(sentence))
    if newest.get("stderr_tail"):
        tail = newest["stderr_tail"]
        ended = f" (exit code {newest['exit_code']})" if newest.get("exit_code") is not None else ""
        say(f"\nThe last that {newest.get('tool') or step}{ended} said:", style="bold")
        say("\n".join(tail) if isinstance(tail, list) else str(tail).rstrip())
    if row.get("execution"):
        say(f"\nIts logs: seqdrop logs {row['run']} {step}{stack.option}".rstrip())


def stop(stack: Stack, row: Mapping[str, Any]) -> None:
    arn = execution_of(row)
    status = stack.stepfunctions.describe_execution(executionArn=arn)["status"]
    if status != "RUNNING":
        raise Problem(f"Run {row['run']} has ended already, as {status}: nothing to stop.")
    try:
        stack.stepfunctions.stop_execution(executionArn=arn, error="STOPPED", cause="Stopped with `seqdrop stop`")
    except ClientError as error:
        raise Problem(f"Run {row['run']} could not be stopped: {error}") from None
    say(f"Run {row['run']} is being stopped; its jobs end with it.")
