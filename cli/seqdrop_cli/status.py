"""The run table as a person reads it: which runs there are, how they stand, why one failed, how to end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from rich.table import Table
from rich.text import Text

from seqdrop_cli import why
from seqdrop_cli.errors import CliError
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
        raise CliError(f"Stack {stack.name} has no runs yet: `seqdrop run{stack.option}` starts one.")
    if text == LATEST:
        return next((row for row in known if row["status"] != "WAITING"), known[0])
    found = [row for row in known if str(row["run"]).startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CliError(f"{len(found)} runs begin with {text}: {', '.join(str(row['run']) for row in found[:5])}.")
    raise CliError(f"No run {text} in stack {stack.name}: `seqdrop status{stack.option}` lists them.")


def execution_of(row: Mapping[str, Any]) -> str:
    """The ARN; raises CliError for a run that was refused before it started."""
    if not row.get("execution"):
        raise CliError(f"Run {row['run']} started no execution: {row.get('message') or 'it was refused'}")
    return str(row["execution"])


def execution_arn(stack: Stack, run: str, machine: str = "PipelineStateMachine") -> str:
    """The execution of this name, of a machine that the stack's outputs name."""
    return f"{stack[machine].replace(':stateMachine:', ':execution:')}:{run}"


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


def explain(stack: Stack, row: Mapping[str, Any]) -> None:
    """Why a run is as it is, and what helps."""
    if row.get("status") == "WAITING":
        message = str(row["message"])
        say(f"{message[0].upper()}{message[1:]}. Since {_minute(row.get('started'))}.", style="bold yellow")
        say("Upload what is missing; after two weeks what waits is forgotten.")
    elif row.get("status") == "RUNNING":
        why.show_running(stack, row)
    elif row.get("status") == "SUCCEEDED":
        why.show_success(stack, row)
    else:
        why.show_failure(stack, row)


def stop(stack: Stack, row: Mapping[str, Any]) -> None:
    arn = execution_of(row)
    status = stack.status_of(arn)
    if status is None:
        raise CliError(f"Run {row['run']} has no execution under way: nothing to stop.")
    if status != "RUNNING":
        raise CliError(f"Run {row['run']} has ended already, as {status}: nothing to stop.")
    try:
        stack.stepfunctions.stop_execution(executionArn=arn, error="STOPPED", cause="Stopped with `seqdrop stop`")
    except ClientError as error:
        raise CliError(f"Run {row['run']} could not be stopped: {error}") from None
    say(f"Run {row['run']} is being stopped; its jobs end with it.")
